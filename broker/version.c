// The stream, then Postgres. A sequence alone is not enough: a stream that was made anew uses it
// again, so the event has to be the same.
#include "broker/version.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/packet/check.h"
#include "broker/subjects.h"

// As long as a query may take, and less than the gateway waits.
#define VERSION_TIMEOUT_MS 5000

struct version {
    struct store *store;
    const char *tenant;
    const Hr__AncestorRef *ref;
    struct arena *arena;
    char packet_id[UUID_TEXT_BYTES];
    version_loaded_fn done;
    void *ctx;
};

static void on_reply(void *ctx, enum rc rc, struct msg *reply)
{
    struct version *version = ctx;
    ProtobufCMessage *packet = NULL;

    if (rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) != NULL)
        rc = msg_header_u64(reply, HEADER_ERROR_CODE, 0) == 404 ? RC_NOT_FOUND : RC_UNAVAILABLE;
    else if (rc == RC_OK)
        rc = wire_unpack(&packet, version->arena, &hr__packet__descriptor, msg_data(reply),
                         msg_len(reply));
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
                                    .lane = "version",
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

void version_load(struct store *store, const char *tenant, const Hr__AncestorRef *ref,
                  struct arena *arena, version_loaded_fn done, void *ctx)
{
    struct version *version = arena_calloc(arena, 1, sizeof *version);

    *version = (struct version){store, tenant, ref, arena, "", done, ctx};
    if (ref->packet_id.len >= sizeof version->packet_id) {
        done(ctx, RC_CORRUPT, NULL);
        return;
    }
    memcpy(version->packet_id, ref->packet_id.data, ref->packet_id.len);
    store_load_at(store, tenant, version->packet_id, ref->sequence, arena, on_loaded, version);
}
