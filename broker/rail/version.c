// The stream, then Postgres. A sequence alone is not enough: a stream that was made again uses it
// again, so the event has to be the same.
#include "broker/rail/version.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/message/check.h"
#include "broker/nats/subjects.h"

// As long as a query may take, and less than the gateway waits.
#define VERSION_TIMEOUT_MS 5000

// A replica of the stream that lags does not have what was stored a moment ago, and neither may
// Postgres; the time that asking both takes is what it needs.
#define ROUNDS 3

struct version {
    struct store *store;
    const char *tenant;
    const Hr__AncestorRef *ref;
    struct arena *arena;
    char packet_id[UUID_TEXT_BYTES];
    unsigned rounds;
    version_loaded_fn done;
    void *ctx;
};

static void ask_stream(struct version *version);

static void on_reply(void *ctx, enum rc rc, struct msg *reply)
{
    struct version *version = ctx;
    ProtobufCMessage *packet = NULL;

    if (rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) != NULL)
        rc = msg_header_u64(reply, HEADER_ERROR_CODE, 0) == 404 ? RC_NOT_FOUND : RC_UNAVAILABLE;
    else if (rc == RC_OK)
        rc = wire_unpack(&packet, version->arena, &hr__packet__descriptor, msg_data(reply),
                         msg_len(reply));
    if (rc == RC_NOT_FOUND && ++version->rounds < ROUNDS) {
        ask_stream(version);
        return;
    }
    if (rc == RC_OK)
        message_complete(packet, version->arena);
    else
        log_error("version.load", "packet_id=%s event_id=%.*s reason=\"%s\"", version->packet_id,
                  TEXT_ARGS(version->ref->event_id), rc_text(rc));
    version->done(version->ctx, rc, (Hr__Packet *)packet);
}

static void ask_postgres(struct version *version)
{
    Hr__GetVersion *wanted = wire_new(version->arena, &hr__get_version__descriptor);
    const char *inbox = store_inbox(version->store);
    char subject[SUBJECT_BYTES];
    Text payload;

    wanted->has_packet_id = true;
    wanted->packet_id = version->ref->packet_id;
    wanted->has_event_id = true;
    wanted->event_id = version->ref->event_id;
    payload = wire_pack(version->arena, &wanted->base);
    // The caller's key may have no inbox here: the program asks in its own name.
    subject_command(subject, version->tenant, inbox, "packet", "version");
    const struct request request = {.subject = subject,
                                    .inbox = inbox,
                                    .data = payload.data,
                                    .len = payload.len,
                                    .timeout_ms = VERSION_TIMEOUT_MS,
                                    .done = on_reply,
                                    .ctx = version};

    request_send(store_requests(version->store), &request);
}

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct version *version = ctx;

    if (rc == RC_OK && text_equal(stored->record->event->id, version->ref->event_id))
        version->done(version->ctx, RC_OK, stored->record->packet);
    else if (rc == RC_OK || rc == RC_NOT_FOUND || rc == RC_CORRUPT)
        ask_postgres(version);
    else
        version->done(version->ctx, rc, NULL);
}

static void ask_stream(struct version *version)
{
    store_load_at(version->store, version->tenant, version->packet_id, version->ref->sequence,
                  version->arena, on_loaded, version);
}

void version_load(struct store *store, const char *tenant, const Hr__AncestorRef *ref,
                  struct arena *arena, version_loaded_fn done, void *ctx)
{
    struct version *version = arena_calloc(arena, 1, sizeof *version);

    version->store = store;
    version->tenant = tenant;
    version->ref = ref;
    version->arena = arena;
    version->done = done;
    version->ctx = ctx;
    if (ref->packet_id.len >= sizeof version->packet_id) {
        done(ctx, RC_CORRUPT, NULL);
        return;
    }
    memcpy(version->packet_id, ref->packet_id.data, ref->packet_id.len);
    ask_stream(version);
}

// --- the last one --------------------------------------------------------------------------------

struct load_last {
    struct store *store;
    const char *tenant;
    struct arena *arena;
    Hr__AncestorRef ref; // of the last version before the stub
    version_last_fn done;
    void *ctx;
};

static void on_archived(void *ctx, enum rc rc, Hr__Packet *packet)
{
    struct load_last *load = ctx;
    const struct version_last last = {packet, load->ref.sequence, load->ref.event_id};

    // It was there: that it cannot be found now is not the caller's mistake.
    if (rc == RC_NOT_FOUND)
        rc = RC_CORRUPT;
    load->done(load->ctx, rc, rc == RC_OK ? &last : NULL);
}

// The change before the one that made the stub. False: the stub does not say.
static bool name_archived(struct load_last *load, const Hr__PacketRecord *stub)
{
    const Hr__Change *before = stub->n_recent >= 2 ? stub->recent[stub->n_recent - 2] : NULL;
    char *event_id = arena_alloc(load->arena, UUID_TEXT_BYTES);
    struct uuid id;

    if (before == NULL || before->event_id.len != UUID_BYTES)
        return false;
    memcpy(id.bytes, before->event_id.data, UUID_BYTES);
    uuid_format(event_id, &id);
    hr__ancestor_ref__init(&load->ref);
    load->ref.has_packet_id = true;
    load->ref.packet_id = stub->packet->id;
    load->ref.has_sequence = true;
    load->ref.sequence = before->sequence;
    load->ref.has_event_id = true;
    load->ref.event_id = text_of(event_id);
    return true;
}

static void on_last(void *ctx, enum rc rc, const struct stored *stored)
{
    struct load_last *load = ctx;
    struct version_last last;

    if (rc != RC_OK) {
        load->done(load->ctx, rc, NULL);
        return;
    }
    if (stored->record->packet->archived_at == NULL) {
        last = (struct version_last){stored->record->packet, stored->sequence,
                                     stored->record->event->id};
        load->done(load->ctx, RC_OK, &last);
    } else if (name_archived(load, stored->record)) {
        version_load(load->store, load->tenant, &load->ref, load->arena, on_archived, load);
    } else {
        log_error("version.stub", "sequence=%llu", (unsigned long long)stored->sequence);
        load->done(load->ctx, RC_CORRUPT, NULL);
    }
}

void version_load_last(struct store *store, const char *tenant, const char *packet_id,
                       struct arena *arena, version_last_fn done, void *ctx)
{
    struct load_last *load = arena_calloc(arena, 1, sizeof *load);

    load->store = store;
    load->tenant = tenant;
    load->arena = arena;
    load->done = done;
    load->ctx = ctx;
    store_load_sure(store, tenant, packet_id, arena, on_last, load);
}
