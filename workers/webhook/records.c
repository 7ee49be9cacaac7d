// A record's subject names its partition, tenant, hook and delivery, so that the last one of each
// can be read.
#include "workers/webhook/records.h"

#include "broker/base/log.h"
#include "workers/webhook/owners.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "hr.v1.delivery."

struct put {
    struct records *records;
    entry_put_fn done;
    void *ctx;
};

struct load {
    struct arena *arena;
    record_loaded_fn done;
    void *ctx;
};

void records_subject(char subject[SUBJECT_BYTES], const struct record_name *name)
{
    int len =
        snprintf(subject, SUBJECT_BYTES, PREFIX "%02u.%s.%s.%s", owners_partition(name->hook_id),
                 name->tenant, name->hook_id, name->delivery_id);

    assert(len > 0 && len < SUBJECT_BYTES);
}

// Copies the token at *at, and moves behind its dot.
static bool cut(const char **at, char *to, size_t cap)
{
    size_t len = strcspn(*at, ".");

    if (len == 0 || len >= cap)
        return false;
    memcpy(to, *at, len);
    to[len] = '\0';
    *at += len + ((*at)[len] == '.' ? 1 : 0);
    return true;
}

bool records_parse(struct record_subject *parts, const char *subject)
{
    const char *at = subject + sizeof PREFIX - 1;
    char partition[4];

    return strncmp(subject, PREFIX, sizeof PREFIX - 1) == 0 &&
           cut(&at, partition, sizeof partition) && cut(&at, parts->tenant, sizeof parts->tenant) &&
           cut(&at, parts->hook_id, sizeof parts->hook_id) &&
           cut(&at, parts->delivery_id, sizeof parts->delivery_id) && *at == '\0';
}

bool record_is_final(const Hr__DeliveryRecord *record)
{
    return record->delivery == NULL || text_is(record->delivery->status, "delivered") ||
           text_is(record->delivery->status, "dead_letter");
}

static void on_put(void *ctx, enum rc rc, uint64_t sequence)
{
    struct put put = *(struct put *)ctx;

    free(ctx);
    if (rc == RC_OK && sequence > put.records->last)
        put.records->last = sequence;
    put.done(put.ctx, rc, sequence);
}

void records_put(struct records *records, const struct record_name *name,
                 const Hr__DeliveryRecord *record, uint64_t expected, entry_put_fn done, void *ctx)
{
    size_t len = protobuf_c_message_get_packed_size(&record->base);
    uint8_t *bytes = malloc(len + 1);
    struct put *put = malloc(sizeof *put);
    char subject[SUBJECT_BYTES];
    const struct entry_put entry = {
        .subject = subject, .expected = expected, .data = bytes, .len = len};

    if (bytes == NULL || put == NULL)
        abort();
    *put = (struct put){records, done, ctx};
    (void)protobuf_c_message_pack(&record->base, bytes);
    records_subject(subject, name);
    entry_put(run_requests(records->run), run_name(records->run), &entry, on_put, put);
    free(bytes);
}

static void on_loaded(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence)
{
    struct load load = *(struct load *)ctx;
    ProtobufCMessage *message = NULL;

    free(ctx);
    if (rc == RC_OK && wire_unpack(&message, load.arena, &hr__delivery_record__descriptor,
                                   msg_data(reply), msg_len(reply)) != RC_OK)
        rc = RC_CORRUPT;
    if (rc == RC_OK && ((Hr__DeliveryRecord *)message)->delivery == NULL)
        rc = RC_CORRUPT;
    if (rc == RC_CORRUPT)
        log_error("records.unreadable", "sequence=%llu", (unsigned long long)sequence);
    load.done(load.ctx, rc, rc == RC_OK ? (Hr__DeliveryRecord *)message : NULL, sequence);
}

void records_load(struct records *records, const struct record_name *name, struct arena *arena,
                  record_loaded_fn done, void *ctx)
{
    struct load *load = malloc(sizeof *load);
    char subject[SUBJECT_BYTES];

    if (load == NULL)
        abort();
    *load = (struct load){arena, done, ctx};
    records_subject(subject, name);
    entry_get(run_requests(records->run), run_name(records->run), STREAM_DELIVERIES, subject,
              on_loaded, load);
}
