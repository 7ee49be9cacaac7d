// Packet records over JetStream's request/reply interface.
//
// The C client's own JetStream calls block or need a thread each; a direct get and an append are
// one message and one answer, so plain requests do.
#include "broker/rail/store.h"

#include "broker/base/log.h"
#include "broker/message/check.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOAD_TIMEOUT_MS 1500
#define APPEND_TIMEOUT_MS 1500

// Other replicas are asked so often for what the leader has.
#define SURE_TRIES 50

struct store {
    struct requests *requests;
    bool replicated;
    char inbox[64];
};

struct load {
    struct arena *arena;
    char subject[SUBJECT_BYTES];
    store_loaded_fn done;
    void *ctx;
};

struct waiting {
    store_appended_fn done;
    void *ctx;
};

struct store *store_create(struct requests *requests, const char *inbox)
{
    struct store *store = calloc(1, sizeof *store);

    if (store == NULL)
        abort();
    store->requests = requests;
    (void)snprintf(store->inbox, sizeof store->inbox, "%s", inbox);
    return store;
}

void store_destroy(struct store *store)
{
    free(store);
}

void store_set_replicated(struct store *store, bool replicated)
{
    store->replicated = replicated;
}

bool store_is_replicated(const struct store *store)
{
    return store->replicated;
}

struct requests *store_requests(const struct store *store)
{
    return store->requests;
}

const char *store_inbox(const struct store *store)
{
    return store->inbox;
}

enum rc stored_read(struct stored *stored, struct arena *arena, const void *data, size_t len,
                    uint64_t sequence)
{
    ProtobufCMessage *message;
    Hr__PacketRecord *record;
    enum rc rc = wire_unpack(&message, arena, &hr__packet_record__descriptor, data, len);

    record = (Hr__PacketRecord *)message;
    if (rc != RC_OK || record->packet == NULL || record->event == NULL || sequence == 0)
        return RC_CORRUPT;
    message_complete(&record->packet->base, arena);
    if (record->packet->claim != NULL && !record->packet->claim->has_generation) {
        record->packet->claim->has_generation = true;
        record->packet->claim->generation = sequence;
    }
    *stored = (struct stored){record, sequence, len};
    return RC_OK;
}

static enum rc read_record(struct stored *stored, struct load *load, struct msg *reply)
{
    const char *subject;
    enum rc rc;

    if (msg_status(reply) == 404)
        return RC_NOT_FOUND;
    subject = msg_header(reply, "Nats-Subject");
    if (msg_status(reply) != 0 || subject == NULL) {
        log_error("store.load", "status=%d subject=%s", msg_status(reply), load->subject);
        return RC_IO;
    }
    if (strcmp(subject, load->subject) != 0)
        return RC_NOT_FOUND;
    rc = stored_read(stored, load->arena, msg_data(reply), msg_len(reply),
                     msg_header_u64(reply, "Nats-Sequence", 0));
    if (rc != RC_OK)
        log_error("store.corrupt", "subject=%s", load->subject);
    return rc;
}

static void on_loaded(void *ctx, enum rc rc, struct msg *reply)
{
    struct load *load = ctx;
    struct stored stored = {0};

    if (rc == RC_OK)
        rc = read_record(&stored, load, reply);
    load->done(load->ctx, rc, &stored);
}

static void get(struct store *store, const char *subject, const char *body, struct load *load)
{
    const struct request request = {.subject = subject,
                                    .inbox = store->inbox,
                                    .data = body,
                                    .len = strlen(body),
                                    .timeout_ms = LOAD_TIMEOUT_MS,
                                    .done = on_loaded,
                                    .ctx = load};

    request_send(store->requests, &request);
}

static struct load *load_create(struct arena *arena, const char *tenant, const char *packet_id,
                                store_loaded_fn done, void *ctx)
{
    struct load *load = arena_alloc(arena, sizeof *load);

    load->arena = arena;
    load->done = done;
    load->ctx = ctx;
    subject_packet(load->subject, tenant, packet_id);
    return load;
}

void store_load(struct store *store, const char *tenant, const char *packet_id, struct arena *arena,
                store_loaded_fn done, void *ctx)
{
    struct load *load = load_create(arena, tenant, packet_id, done, ctx);
    char stream[STREAM_BYTES];
    char subject[SUBJECT_BYTES + STREAM_BYTES + 32];

    subject_stream(stream, subject_shard(tenant, packet_id));
    (void)snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s.%s", stream, load->subject);
    get(store, subject, "", load);
}

void store_load_at(struct store *store, const char *tenant, const char *packet_id,
                   uint64_t sequence, struct arena *arena, store_loaded_fn done, void *ctx)
{
    struct load *load = load_create(arena, tenant, packet_id, done, ctx);
    char stream[STREAM_BYTES];
    char subject[STREAM_BYTES + 32];
    char body[48];

    subject_stream(stream, subject_shard(tenant, packet_id));
    (void)snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s", stream);
    (void)snprintf(body, sizeof body, "{\"seq\":%" PRIu64 "}", sequence);
    get(store, subject, body, load);
}

void store_last(struct store *store, const char *tenant, const char *packet_id,
                store_appended_fn done, void *ctx)
{
    char stream[STREAM_BYTES];
    char subject[SUBJECT_BYTES];

    subject_stream(stream, subject_shard(tenant, packet_id));
    subject_packet(subject, tenant, packet_id);
    entry_last(store->requests, store->inbox, stream, subject, done, ctx);
}

struct sure {
    struct store *store;
    const char *tenant;
    const char *packet_id;
    struct arena *arena;
    store_loaded_fn done;
    void *ctx;
    uint64_t sequence; // of the leader's last record
    int tries;
};

static void on_sure_last(void *ctx, enum rc rc, uint64_t sequence);

// A record that is not there, though the leader has one, is asked for again: every request goes to
// another replica, the leader among them.
static void on_sure_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct sure *sure = ctx;

    if (rc != RC_NOT_FOUND || !sure->store->replicated) {
        sure->done(sure->ctx, rc, stored);
        return;
    }
    if (sure->sequence == 0)
        store_last(sure->store, sure->tenant, sure->packet_id, on_sure_last, sure);
    else if (sure->tries++ < SURE_TRIES)
        store_load_at(sure->store, sure->tenant, sure->packet_id, sure->sequence, sure->arena,
                      on_sure_loaded, sure);
    else
        sure->done(sure->ctx, RC_UNAVAILABLE, stored);
}

static void on_sure_last(void *ctx, enum rc rc, uint64_t sequence)
{
    struct sure *sure = ctx;
    const struct stored none = {0};

    sure->sequence = sequence;
    if (rc == RC_OK && sequence > 0)
        on_sure_loaded(sure, RC_NOT_FOUND, &none);
    else
        sure->done(sure->ctx, rc == RC_OK ? RC_NOT_FOUND : rc, &none);
}

void store_load_sure(struct store *store, const char *tenant, const char *packet_id,
                     struct arena *arena, store_loaded_fn done, void *ctx)
{
    struct sure *sure = arena_calloc(arena, 1, sizeof *sure);

    sure->store = store;
    sure->tenant = arena_copy(arena, tenant, strlen(tenant));
    sure->packet_id = arena_copy(arena, packet_id, strlen(packet_id));
    sure->arena = arena;
    sure->done = done;
    sure->ctx = ctx;
    store_load(store, tenant, packet_id, arena, on_sure_loaded, sure);
}

static void on_appended(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting append = *(struct waiting *)ctx;
    uint64_t sequence = 0;

    free(ctx);
    if (rc == RC_OK)
        rc = entry_read_answer(reply, &sequence);
    append.done(append.ctx, rc, sequence);
}

void store_append(struct store *store, const struct append *append, store_appended_fn done,
                  void *ctx)
{
    char subject[SUBJECT_BYTES];
    char condition[24];
    struct waiting *waiting = malloc(sizeof *waiting);
    struct header headers[2] = {
        {"Nats-Expected-Last-Subject-Sequence", condition}
    };
    size_t count = 1;

    if (append->restored)
        headers[count++] = (struct header){HEADER_RESTORED, "true"};
    const struct request request = {.subject = subject,
                                    .inbox = store->inbox,
                                    .headers = headers,
                                    .header_count = count,
                                    .data = append->data,
                                    .len = append->len,
                                    .timeout_ms = APPEND_TIMEOUT_MS,
                                    .done = on_appended,
                                    .ctx = waiting};

    if (waiting == NULL)
        abort();
    *waiting = (struct waiting){done, ctx};
    subject_packet(subject, append->tenant, append->packet_id);
    (void)snprintf(condition, sizeof condition, "%" PRIu64, append->expected);
    request_send(store->requests, &request);
}

static void on_end(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting end = *(struct waiting *)ctx;
    uint64_t last = 0;

    free(ctx);
    if (rc == RC_OK)
        rc = entry_read_end(reply, &last);
    end.done(end.ctx, rc, last);
}

void store_end(struct store *store, unsigned shard, store_appended_fn done, void *ctx)
{
    struct waiting *end = malloc(sizeof *end);
    char stream[STREAM_BYTES];
    char subject[STREAM_BYTES + 32];
    const struct request request = {.subject = subject,
                                    .inbox = store->inbox,
                                    .timeout_ms = LOAD_TIMEOUT_MS,
                                    .done = on_end,
                                    .ctx = end};

    if (end == NULL)
        abort();
    *end = (struct waiting){done, ctx};
    subject_stream(stream, shard);
    (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", stream);
    request_send(store->requests, &request);
}
