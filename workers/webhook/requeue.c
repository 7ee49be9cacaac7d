// Passes: read the last record of every delivery of the hook and keep those that are to be put
// back, the oldest events of them; then put those back; until a pass finds nothing more. What is
// kept of a pass is bounded, so many letters take several.
//
// Records are read some at a time and written in the order of their events; of one packet only when
// the one before is stored, so that nothing gets in front of what could not be written.
#include "workers/webhook/requeue.h"

#include "broker/base/log.h"
#include "broker/nats/consume.h"
#include "workers/webhook/recover.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASS_MAX 16384 // letters of one pass
#define FLIGHTS 64     // records that are being read or written
#define WINDOW 500
#define ARENA_BYTES (16 * 1024)

struct item {
    struct uuid id;
    struct uuid packet_id;
    uint64_t sequence; // of the event
    uint64_t record_seq;
    int64_t attempts;
    int64_t at_us;
    int64_t created_us;
    bool is_dead;
};

enum flight_state { FREE, LOADING, LOADED, WRITING };

struct flight {
    struct requeue *requeue;
    enum flight_state state;
    struct item *item;
    char id[UUID_TEXT_BYTES];
    struct arena *arena;
    Hr__DeliveryRecord *record; // NULL: it is not to be written
};

struct requeue {
    struct requeue_config config;
    char tenant[TOKEN_MAX + 1];
    char hook_id[UUID_TEXT_BYTES];
    char filter[SUBJECT_BYTES];
    struct consumer_config stream;
    struct consumer *consumer; // NULL: it does not read
    uint64_t last;             // record that it has read
    struct arena *arena;       // of one record
    struct item *items;        // 2 * PASS_MAX
    size_t count;
    struct uuid *put_back; // by this recovery, as this pass has seen; some of them twice
    size_t put_back_count;
    size_t put_back_cap;
    size_t begun; // items that have, or had, a flight
    size_t sent;  // and those that are written, or need not be
    struct flight flights[FLIGHTS];
    size_t flying; // requests under way
    bool full;     // the queue has no room for all
    bool going;    // in go_on
    struct requeue_outcome outcome;
    bool closed;
};

static void go_on(struct requeue *requeue);

static void destroy(struct requeue *requeue)
{
    for (size_t i = 0; i < FLIGHTS; i++)
        arena_destroy(requeue->flights[i].arena);
    arena_destroy(requeue->arena);
    free(requeue->items);
    free(requeue->put_back);
    free(requeue);
}

// --- what there is -------------------------------------------------------------------------------

static int by_sequence(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;

    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

// Keeps the oldest ones; the next pass finds the others.
static void sort_items(struct requeue *requeue)
{
    if (requeue->count > 1)
        qsort(requeue->items, requeue->count, sizeof *requeue->items, by_sequence);
    if (requeue->count > PASS_MAX)
        requeue->count = PASS_MAX;
}

static bool is_wanted(const struct requeue *requeue, const struct recovered *recovered)
{
    const struct requeue_config *config = &requeue->config;

    if (recovered->is_dead)
        return config->puts_back && recovered->requeued != config->number &&
               recovered->updated_us >= config->since_us;
    return !recovered->is_final && !requeue->full &&
           queue_find(config->queue, &recovered->fields.id) == NULL;
}

static void count_put_back(struct requeue *requeue, const struct uuid *id)
{
    if (requeue->put_back_count == requeue->put_back_cap) {
        requeue->put_back_cap = requeue->put_back_cap > 0 ? requeue->put_back_cap * 2 : 1024;
        requeue->put_back =
            realloc(requeue->put_back, requeue->put_back_cap * sizeof *requeue->put_back);
        if (requeue->put_back == NULL)
            abort();
    }
    requeue->put_back[requeue->put_back_count++] = *id;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

// A delivery is read twice when it is sent meanwhile.
static uint64_t different_put_back(struct requeue *requeue)
{
    uint64_t count = requeue->put_back_count > 0 ? 1 : 0;

    if (requeue->put_back_count > 1)
        qsort(requeue->put_back, requeue->put_back_count, sizeof *requeue->put_back, by_id);
    for (size_t i = 1; i < requeue->put_back_count; i++)
        count += by_id(&requeue->put_back[i - 1], &requeue->put_back[i]) != 0;
    return count;
}

static void take(struct requeue *requeue, const struct recovered *recovered)
{
    const struct queued *fields = &recovered->fields;

    if (recovered->requeued == requeue->config.number)
        count_put_back(requeue, &fields->id);
    if (!is_wanted(requeue, recovered))
        return;
    if (requeue->count == 2 * (size_t)PASS_MAX)
        sort_items(requeue);
    requeue->items[requeue->count++] = (struct item){.id = fields->id,
                                                     .packet_id = fields->packet_id,
                                                     .sequence = fields->sequence,
                                                     .record_seq = fields->record_seq,
                                                     .attempts = fields->attempts,
                                                     .at_us = fields->at_us,
                                                     .created_us = fields->created_us,
                                                     .is_dead = recovered->is_dead};
}

static void forget_items(struct requeue *requeue)
{
    requeue->count = requeue->begun = requeue->sent = 0;
    requeue->put_back_count = 0;
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct requeue *requeue = ctx;
    struct recovered recovered;

    if (delivery->sequence <= requeue->last)
        forget_items(requeue); // the reader was made again: everything comes again
    requeue->last = delivery->sequence;
    if (recover_read(&recovered, msg, delivery, requeue->arena))
        take(requeue, &recovered);
    arena_reset(requeue->arena);
    consumer_release(requeue->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct requeue *requeue = ctx;

    if (!current)
        return;
    consumer_close(requeue->consumer);
    requeue->consumer = NULL;
    sort_items(requeue);
    go_on(requeue);
}

static void begin_pass(struct requeue *requeue)
{
    struct run *run = requeue->config.run;

    forget_items(requeue);
    requeue->last = 0;
    requeue->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &requeue->stream);
}

// --- putting back --------------------------------------------------------------------------------

static void release(struct flight *flight)
{
    flight->state = FREE;
    flight->record = NULL;
    arena_reset(flight->arena);
}

static void enqueue(struct requeue *requeue, const struct item *item)
{
    struct queue *queue = requeue->config.queue;
    const struct queued fields = {.id = item->id,
                                  .packet_id = item->packet_id,
                                  .sequence = item->sequence,
                                  .record_seq = item->record_seq,
                                  .attempts = item->attempts,
                                  .at_us = item->at_us,
                                  .created_us = item->created_us};

    // Not behind one that found no room: it would come before it.
    if (queue_is_full(queue, requeue->config.hook))
        requeue->full = true;
    if (!requeue->full && queue_find(queue, &item->id) == NULL)
        (void)queue_add(queue, requeue->config.hook, &fields);
}

static void fail(struct requeue *requeue, const char *what, enum rc rc)
{
    log_warn("requeue.failed", "hook=%s what=%s reason=\"%s\"", requeue->hook_id, what,
             rc_text(rc));
    requeue->outcome.failed = true;
}

// False: it was closed meanwhile, and flight may be gone.
static bool land(struct flight *flight)
{
    struct requeue *requeue = flight->requeue;

    requeue->flying--;
    if (!requeue->closed)
        return true;
    if (requeue->flying == 0)
        destroy(requeue);
    return false;
}

static void on_written(void *ctx, enum rc rc, uint64_t sequence)
{
    struct flight *flight = ctx;
    struct requeue *requeue = flight->requeue;

    if (!land(flight))
        return;
    if (rc == RC_OK) {
        flight->item->record_seq = sequence;
        flight->item->attempts = 0;
        flight->item->at_us = 0;
        enqueue(requeue, flight->item);
    } else if (rc != RC_CONFLICT) { // somebody has just sent it: the next pass tells how that went
        fail(requeue, "write", rc);
    }
    release(flight);
    go_on(requeue);
}

static void on_loaded(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct flight *flight = ctx;
    struct requeue *requeue = flight->requeue;

    if (!land(flight))
        return;
    flight->state = LOADED;
    if (rc == RC_OK && sequence == flight->item->record_seq)
        flight->record = record;
    else if (rc != RC_OK && rc != RC_NOT_FOUND && rc != RC_CORRUPT)
        fail(requeue, "read", rc);
    go_on(requeue);
}

static struct record_name name_of(const struct flight *flight)
{
    return (struct record_name){flight->requeue->tenant, flight->requeue->hook_id, flight->id};
}

static void begin(struct requeue *requeue, struct flight *flight)
{
    struct record_name name;

    flight->item = &requeue->items[requeue->begun++];
    uuid_format(flight->id, &flight->item->id);
    if (!flight->item->is_dead) {
        flight->state = LOADED;
        return;
    }
    flight->state = LOADING;
    requeue->flying++;
    name = name_of(flight);
    records_load(requeue->config.records, &name, flight->arena, on_loaded, flight);
}

static void write_down(struct flight *flight)
{
    struct requeue *requeue = flight->requeue;
    Hr__Delivery *delivery = flight->record->delivery;
    struct record_name name = name_of(flight);

    delivery->has_status = true;
    delivery->status = text_of("pending");
    delivery->has_attempts = true;
    delivery->attempts = 0;
    delivery->next_retry_at = NULL;
    delivery->updated_at = wire_timestamp(flight->arena, timestamp_now_us());
    flight->record->has_requeued = true;
    flight->record->requeued = requeue->config.number;
    flight->state = WRITING;
    requeue->flying++;
    records_put(requeue->config.records, &name, flight->record, flight->item->record_seq,
                on_written, flight);
}

// Is an earlier event of its packet being written?
static bool has_to_wait(const struct requeue *requeue, const struct flight *flight)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        const struct flight *other = &requeue->flights[i];

        if (other->state == WRITING &&
            memcmp(&other->item->packet_id, &flight->item->packet_id, sizeof(struct uuid)) == 0)
            return true;
    }
    return false;
}

static void send_next(struct requeue *requeue)
{
    while (!requeue->outcome.failed && requeue->sent < requeue->begun) {
        struct flight *flight = &requeue->flights[requeue->sent % FLIGHTS];

        if (flight->state != LOADED || has_to_wait(requeue, flight))
            return;
        requeue->sent++;
        if (flight->item->is_dead && flight->record != NULL) {
            write_down(flight);
            continue;
        }
        if (!flight->item->is_dead)
            enqueue(requeue, flight->item);
        release(flight);
    }
}

static void end(struct requeue *requeue)
{
    requeue->outcome.count = different_put_back(requeue);
    requeue->outcome.is_complete = !requeue->full;
    requeue->config.done(requeue->config.ctx, &requeue->outcome);
}

// Requests may be answered before they return, which comes back here: the one outside goes on.
static void go_on(struct requeue *requeue)
{
    if (requeue->consumer != NULL || requeue->going)
        return;
    requeue->going = true;
    while (!requeue->outcome.failed && requeue->begun < requeue->count &&
           requeue->flights[requeue->begun % FLIGHTS].state == FREE) {
        begin(requeue, &requeue->flights[requeue->begun % FLIGHTS]);
        send_next(requeue);
    }
    send_next(requeue);
    requeue->going = false;
    requeue->config.moved(requeue->config.ctx);
    if (requeue->flying > 0)
        return;
    if (requeue->outcome.failed || requeue->count == 0)
        end(requeue);
    else if (requeue->sent == requeue->count)
        begin_pass(requeue);
    else
        go_on(requeue);
}

struct requeue *requeue_open(const struct requeue_config *config)
{
    struct requeue *requeue = calloc(1, sizeof *requeue);
    const struct hook *hook = config->hook;

    if (requeue == NULL)
        abort();
    requeue->config = *config;
    requeue->items = calloc(2 * (size_t)PASS_MAX, sizeof *requeue->items);
    if (requeue->items == NULL)
        abort();
    requeue->arena = arena_create(ARENA_BYTES);
    for (size_t i = 0; i < FLIGHTS; i++) {
        requeue->flights[i].requeue = requeue;
        requeue->flights[i].arena = arena_create(ARENA_BYTES);
    }
    (void)snprintf(requeue->tenant, sizeof requeue->tenant, "%s", hook->tenant->name);
    (void)snprintf(requeue->hook_id, sizeof requeue->hook_id, "%s", hook->id);
    (void)snprintf(requeue->filter, sizeof requeue->filter, "hr.v1.delivery.%02u.%s.%s.*",
                   hook->partition, requeue->tenant, requeue->hook_id);
    requeue->stream = (struct consumer_config){
        .inbox = run_name(config->run),
        .stream = STREAM_DELIVERIES,
        .filter = requeue->filter,
        .from = CONSUME_LAST_PER_SUBJECT,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .ctx = requeue,
    };
    begin_pass(requeue);
    return requeue;
}

void requeue_close(struct requeue *requeue)
{
    if (requeue == NULL)
        return;
    consumer_close(requeue->consumer);
    requeue->consumer = NULL;
    requeue->closed = true;
    if (requeue->flying == 0)
        destroy(requeue);
}
