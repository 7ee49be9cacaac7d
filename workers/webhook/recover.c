// The last record of each delivery counts; the stream is read from front to back, so it is the one
// that stays.
#include "workers/webhook/recover.h"

#include "broker/base/log.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 2000
#define ARENA_BYTES (16 * 1024)

struct known {
    UT_hash_handle hh; // by id
    struct uuid id;
    struct recovered last;
};

struct done_one {
    UT_hash_handle hh;
    struct uuid id;
};

struct settled {
    struct done_one *ids;
    uint64_t end;
};

struct recovery {
    struct records *records;
    unsigned partition;
    struct consumer_config config;
    struct consumer *consumer;
    char filter[SUBJECT_BYTES];
    struct arena *arena; // of one record
    struct known *known;
    recovery_done_fn done;
    void *ctx;
};

// --- records -------------------------------------------------------------------------------------

bool recover_read(struct recovered *recovered, struct msg *msg, const struct delivery *delivery,
                  struct arena *arena)
{
    struct record_subject names;
    ProtobufCMessage *message;
    const Hr__DeliveryRecord *record;
    const Hr__Delivery *state;

    memset(recovered, 0, sizeof *recovered);
    if (!records_parse(&names, msg_subject(msg)) ||
        wire_unpack(&message, arena, &hr__delivery_record__descriptor, msg_data(msg),
                    msg_len(msg)) != RC_OK ||
        ((const Hr__DeliveryRecord *)message)->delivery == NULL ||
        uuid_parse(names.delivery_id, strlen(names.delivery_id), &recovered->fields.id) != NULL) {
        log_error("recover.unreadable", "sequence=%" PRIu64, delivery->sequence);
        return false;
    }
    record = (const Hr__DeliveryRecord *)message;
    state = record->delivery;
    (void)snprintf(recovered->key, sizeof recovered->key, "%s.%s", names.tenant, names.hook_id);
    recovered->is_final = record_is_final(record);
    recovered->is_dead = text_is(state->status, "dead_letter");
    recovered->requeued = record->requeued;
    recovered->updated_us = wire_timestamp_us(state->updated_at);
    recovered->fields.sequence = record->sequence;
    recovered->fields.record_seq = delivery->sequence;
    recovered->fields.attempts = state->attempts;
    recovered->fields.at_us = wire_timestamp_us(state->next_retry_at);
    recovered->fields.created_us = wire_timestamp_us(state->created_at);
    // A packet id that cannot be read costs the order, not the delivery.
    if (uuid_parse((const char *)state->packet_id.data, state->packet_id.len,
                   &recovered->fields.packet_id) != NULL)
        recovered->fields.packet_id = recovered->fields.id;
    return true;
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct recovery *recovery = ctx;
    struct recovered recovered;
    struct known *known = NULL;

    if (delivery->sequence > recovery->records->last)
        recovery->records->last = delivery->sequence;
    if (recover_read(&recovered, msg, delivery, recovery->arena)) {
        HASH_FIND(hh, recovery->known, &recovered.fields.id, sizeof recovered.fields.id, known);
        if (known == NULL) {
            known = calloc(1, sizeof *known);
            if (known == NULL)
                abort();
            known->id = recovered.fields.id;
            HASH_ADD(hh, recovery->known, id, sizeof known->id, known);
        }
        known->last = recovered;
    }
    arena_reset(recovery->arena);
    consumer_release(recovery->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct recovery *recovery = ctx;
    recovery_done_fn done = recovery->done;

    if (!current || done == NULL)
        return;
    recovery->done = NULL;
    done(recovery->ctx, recovery->partition);
}

struct recovery *recovery_open(struct records *records, unsigned partition, uint64_t after,
                               recovery_done_fn done, void *ctx)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    struct run *run = records->run;

    if (recovery == NULL)
        abort();
    recovery->records = records;
    recovery->partition = partition;
    recovery->done = done;
    recovery->ctx = ctx;
    recovery->arena = arena_create(ARENA_BYTES);
    (void)snprintf(recovery->filter, sizeof recovery->filter, "hr.v1.delivery.%02u.*.*.*",
                   partition);
    recovery->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = STREAM_DELIVERIES,
        .filter = recovery->filter,
        .from = CONSUME_AFTER,
        .start_after = after,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .ctx = recovery,
    };
    recovery->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &recovery->config);
    return recovery;
}

// --- the end -------------------------------------------------------------------------------------

static int by_sequence(const struct known *a, const struct known *b)
{
    return (a->last.fields.sequence > b->last.fields.sequence) -
           (a->last.fields.sequence < b->last.fields.sequence);
}

void recovery_each(struct recovery *recovery,
                   void (*visit)(void *ctx, const char *key, const struct queued *fields),
                   void *ctx)
{
    HASH_SORT(recovery->known, by_sequence);
    for (struct known *known = recovery->known; known != NULL; known = known->hh.next) {
        if (!known->last.is_final)
            visit(ctx, known->last.key, &known->last.fields);
    }
}

struct settled *recovery_take_settled(struct recovery *recovery)
{
    struct settled *settled = NULL;

    for (const struct known *known = recovery->known; known != NULL; known = known->hh.next) {
        if (known->last.is_final)
            settled_add(&settled, &known->id, known->last.fields.sequence);
    }
    return settled;
}

void recovery_close(struct recovery *recovery)
{
    struct known *known;
    struct known *next;

    if (recovery == NULL)
        return;
    consumer_close(recovery->consumer);
    known = recovery->known;
    HASH_CLEAR(hh, recovery->known); // the table; what was in it is still linked
    for (; known != NULL; known = next) {
        next = known->hh.next;
        free(known);
    }
    arena_destroy(recovery->arena);
    free(recovery);
}

static void *make(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (memory == NULL)
        abort();
    return memory;
}

void settled_add(struct settled **settled, const struct uuid *id, uint64_t sequence)
{
    struct done_one *one;

    if (*settled == NULL)
        *settled = make(sizeof **settled);
    if (settled_has(*settled, id))
        return;
    one = make(sizeof *one);
    one->id = *id;
    HASH_ADD(hh, (*settled)->ids, id, sizeof one->id, one);
    if (sequence > (*settled)->end)
        (*settled)->end = sequence;
}

bool settled_has(const struct settled *settled, const struct uuid *id)
{
    struct done_one *one = NULL;

    if (settled != NULL)
        HASH_FIND(hh, settled->ids, id, sizeof *id, one);
    return one != NULL;
}

uint64_t settled_end(const struct settled *settled)
{
    return settled != NULL ? settled->end : 0;
}

void settled_destroy(struct settled *settled)
{
    struct done_one *one;
    struct done_one *next;

    if (settled == NULL)
        return;
    one = settled->ids;
    HASH_CLEAR(hh, settled->ids);
    for (; one != NULL; one = next) {
        next = one->hh.next;
        free(one);
    }
    free(settled);
}
