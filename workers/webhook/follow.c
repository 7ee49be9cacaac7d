// Partitions: NONE -> RECOVERING -> ACTIVE -> LEAVING -> NONE.
#include "workers/webhook/follow.h"

#include "broker/base/log.h"
#include "broker/nats/consume.h"
#include "broker/packet/summary.h"
#include "workers/webhook/body.h"
#include "workers/webhook/catchup.h"
#include "workers/webhook/progress.h"
#include "workers/webhook/recover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 1000
#define TICK_MS 100
#define ARENA_BYTES (64 * 1024)

enum part_state { NONE, RECOVERING, ACTIVE, LEAVING };

struct part {
    enum part_state state;
    uint64_t generation; // tells one time that it is ours from another
    struct progress progress;
    bool ask_again;            // where the stream ends could not be asked
    struct arena *arena;       // of last or left
    Hr__PartitionOwner *last;  // how it was found, while RECOVERING
    Hr__PartitionOwner *left;  // how it is left, while LEAVING
    struct recovery *recovery; // while RECOVERING
    struct settled *settled;   // deliveries that were finished by others; NULL: none to think of
};

struct follower {
    struct follow_config config;
    struct part parts[PARTITIONS];
    struct consumer_config stream;
    struct consumer *consumer; // NULL: nothing is ACTIVE
    char stream_name[STREAM_BYTES];
    char filter[SUBJECT_BYTES];
    uint64_t at; // the stream was read up to here
    uint64_t generation;
    struct arena *arena;    // of one event
    struct payload *shared; // its body, once a hook has taken it
    const char *shared_event;
    struct catchup *catchup;
    uv_timer_t timer;
    bool closed;
};

static void read_from_lowest(struct follower *follower);
static void ask_end(struct follower *follower, unsigned partition);

// --- offering ------------------------------------------------------------------------------------

// All hooks that hear of a change under the same name get the same body.
static struct payload *payload_of(struct follower *follower, const char *event,
                                  const Hr__PacketRecord *record)
{
    if (follower->shared == NULL || follower->shared_event != event) {
        queue_payload_drop(follower->config.queue, follower->shared);
        follower->shared =
            queue_payload(follower->config.queue, body_of(follower->arena, event, record));
        follower->shared_event = event;
    }
    return follower->shared;
}

static void end_event(struct follower *follower)
{
    queue_payload_drop(follower->config.queue, follower->shared);
    follower->shared = NULL;
    arena_reset(follower->arena);
}

// A delivery of the event, unless it is known or finished already.
static void add(struct follower *follower, struct hook *hook, const char *event,
                const Hr__PacketRecord *record, uint64_t sequence)
{
    const struct part *part = &follower->parts[hook->partition];
    struct queued fields = {.sequence = sequence, .event = event};
    const struct queued *delivery;

    fields.id = body_delivery_id(hook->id, record->event->id);
    if (queue_find(follower->config.queue, &fields.id) != NULL ||
        settled_has(part->settled, &fields.id))
        return;
    if (uuid_parse((const char *)record->packet->id.data, record->packet->id.len,
                   &fields.packet_id) != NULL)
        return; // no program of ours made it
    fields.payload = payload_of(follower, event, record);
    fields.created_us = wire_timestamp_us(record->event->at);
    delivery = queue_add(follower->config.queue, hook, &fields);
    if (queue_is_stuck(delivery))
        dispatcher_store(follower->config.dispatcher, delivery);
}

// False: the hook wants it and has no room.
static bool offer(struct follower *follower, struct hook *hook, const Hr__PacketRecord *record,
                  uint64_t sequence)
{
    const char *event = NULL;

    if (hook->config->active && sequence > hook->config->from_sequence)
        event = body_wanted(hook->config, record);
    if (event == NULL)
        return true;
    if (queue_is_full(follower->config.queue, hook))
        return false;
    add(follower, hook, event, record, sequence);
    return true;
}

static bool read_event(struct stored *stored, struct arena *arena, struct msg *msg,
                       uint64_t sequence)
{
    Text head;

    if (msg_header(msg, HEADER_RESTORED) != NULL)
        return false; // it was told of when it was stored first
    head = head_of(arena, msg_data(msg), msg_len(msg));
    if (stored_read(stored, arena, head.data, head.len, sequence) == RC_OK)
        return true;
    log_error("follow.unreadable", "sequence=%" PRIu64, sequence);
    return false;
}

// What the one reader makes of an event for one hook.
static void offer_in_turn(struct follower *follower, struct hook *hook,
                          const Hr__PacketRecord *record, uint64_t sequence)
{
    const struct part *part = &follower->parts[hook->partition];

    if (part->state != ACTIVE || sequence <= part->progress.read)
        return;
    if (hook->behind) {
        hook->skipped = sequence;
        return;
    }
    if (sequence <= hook->position)
        return; // it was read for on its own so far
    if (offer(follower, hook, record, sequence))
        return;
    hook->behind = true;
    hook->position = sequence - 1;
    hook->skipped = sequence;
    log_info("follow.behind", "hook=%s sequence=%" PRIu64, hook->key, sequence);
}

static void offer_to_all(struct follower *follower, struct msg *msg, uint64_t sequence)
{
    struct packet_subject subject;
    const struct tenant *tenant;
    struct stored stored;

    if (subject_parse_packet(&subject, msg_subject(msg)) != RC_OK)
        return;
    tenant = queue_tenant(follower->config.queue, subject.tenant);
    if (tenant == NULL || !read_event(&stored, follower->arena, msg, sequence))
        return;
    for (struct hook *hook = tenant->hooks; hook != NULL; hook = hook->sibling)
        offer_in_turn(follower, hook, stored.record, sequence);
    dispatcher_pump(follower->config.dispatcher);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct follower *follower = ctx;
    struct consumer *consumer = follower->consumer;

    follower->at = delivery->sequence;
    offer_to_all(follower, msg, delivery->sequence);
    for (size_t i = 0; i < PARTITIONS; i++) {
        struct part *part = &follower->parts[i];

        if (part->state == ACTIVE && delivery->sequence > part->progress.read)
            part->progress.read = delivery->sequence;
    }
    end_event(follower);
    consumer_release(consumer, 1);
}

// --- hooks that are behind -----------------------------------------------------------------------

static bool on_offer(void *ctx, struct hook *hook, struct msg *msg, uint64_t sequence)
{
    struct follower *follower = ctx;
    struct stored stored;
    bool taken = true;

    if (read_event(&stored, follower->arena, msg, sequence))
        taken = offer(follower, hook, stored.record, sequence);
    end_event(follower);
    return taken;
}

static void on_moved(void *ctx)
{
    dispatcher_pump(((struct follower *)ctx)->config.dispatcher);
}

static void on_tick(uv_timer_t *timer)
{
    struct follower *follower = timer->data;

    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (follower->parts[i].ask_again) {
            follower->parts[i].ask_again = false;
            ask_end(follower, i);
        }
    }
    catchup_look(follower->catchup);
}

// --- hooks ---------------------------------------------------------------------------------------

static void drop_hook(struct follower *follower, struct hook *hook)
{
    catchup_forget(follower->catchup, hook);
    queue_drop_hook(follower->config.queue, hook);
}

static void drop_hooks(struct follower *follower, unsigned partition)
{
    struct hook *next;

    for (struct hook *hook = queue_hooks(follower->config.queue); hook != NULL; hook = next) {
        next = hook->hh.next;
        if (hook->partition == partition)
            drop_hook(follower, hook);
    }
}

// It has to be told of what comes behind this, part of which may have been read already.
static void begin_at(struct follower *follower, struct hook *hook, uint64_t from)
{
    hook->from = from;
    if (from >= follower->parts[hook->partition].progress.read || hook->behind)
        return;
    if (from > hook->position)
        hook->position = from;
    hook->skipped = 0;
    hook->behind = true;
}

void follow_on_hook(void *ctx, const char *key, const Hr__Hook *config)
{
    struct follower *follower = ctx;
    const char *id = strchr(key, '.');
    struct hook *hook = queue_hook(follower->config.queue, key);
    unsigned partition;

    if (!queue_takes_key(key)) {
        log_warn("hook.key", "key=%.32s reason=\"not of a hook\"", key);
        return;
    }
    partition = owners_partition(id + 1);
    if (follower->parts[partition].state != ACTIVE)
        return;
    if (config == NULL) {
        if (hook != NULL)
            drop_hook(follower, hook);
        return;
    }
    if (hook == NULL) {
        hook = queue_add_hook(follower->config.queue, key, partition);
        begin_at(follower, hook, config->from_sequence);
    } else if (config->from_sequence > hook->from) {
        begin_at(follower, hook, config->from_sequence);
    }
    hook->config = config;
    if (!config->active) {
        hook->gone = false;                        // the entry says it now
        queue_hurry(follower->config.queue, hook); // to become dead letters
        dispatcher_pump(follower->config.dispatcher);
    }
    catchup_look(follower->catchup);
}

// --- taking a partition over ---------------------------------------------------------------------

struct activation {
    struct follower *follower;
    unsigned partition;
    uint64_t lowest; // sequence that one of its hooks begins at
    bool any;
};

static void find_lowest(void *ctx, const char *key, const ProtobufCMessage *message)
{
    struct activation *activation = ctx;
    const Hr__Hook *config = (const Hr__Hook *)message;
    const char *id = strchr(key, '.');

    if (!queue_takes_key(key) || owners_partition(id + 1) != activation->partition)
        return;
    if (!activation->any || config->from_sequence < activation->lowest)
        activation->lowest = config->from_sequence;
    activation->any = true;
}

static void add_hook(void *ctx, const char *key, const ProtobufCMessage *message)
{
    const struct activation *activation = ctx;
    const Hr__Hook *config = (const Hr__Hook *)message;
    const char *id = strchr(key, '.');
    struct hook *hook;

    if (!queue_takes_key(key) || owners_partition(id + 1) != activation->partition)
        return;
    hook = queue_add_hook(activation->follower->config.queue, key, activation->partition);
    hook->config = config;
    hook->from = config->from_sequence;
}

static void add_delivery(void *ctx, const char *key, const struct queued *fields)
{
    struct activation *activation = ctx;
    struct queue *queue = activation->follower->config.queue;
    struct hook *hook = queue_hook(queue, key);

    if (hook != NULL && queue_find(queue, &fields->id) == NULL)
        (void)queue_add(queue, hook, fields);
}

static void set_behind(struct follower *follower, const Hr__PartitionOwner *last)
{
    for (size_t i = 0; last != NULL && i < last->n_behind; i++) {
        const char *key =
            arena_copy(follower->arena, last->behind[i]->hook.data, last->behind[i]->hook.len);
        struct hook *hook = queue_hook(follower->config.queue, key);

        if (hook == NULL)
            continue;
        hook->behind = true;
        hook->position = last->behind[i]->sequence;
    }
    arena_reset(follower->arena);
}

static void on_recovered(void *ctx, unsigned partition)
{
    struct follower *follower = ctx;
    struct part *part = &follower->parts[partition];
    struct activation activation = {.follower = follower, .partition = partition};

    part->state = ACTIVE;
    registry_each(follower->config.registry, add_hook, &activation);
    set_behind(follower, part->last);
    recovery_each(part->recovery, add_delivery, &activation);
    part->settled = recovery_take_settled(part->recovery);
    recovery_close(part->recovery);
    part->recovery = NULL;
    part->last = NULL;
    log_info("follow.active", "partition=%u sequence=%" PRIu64, partition, part->progress.read);
    read_from_lowest(follower);
    dispatcher_pump(follower->config.dispatcher);
    catchup_look(follower->catchup);
}

struct end_question {
    struct follower *follower;
    unsigned partition;
    uint64_t generation;
};

static void on_end(void *ctx, enum rc rc, uint64_t end)
{
    struct end_question question = *(struct end_question *)ctx;
    struct follower *follower = question.follower;
    struct part *part = &follower->parts[question.partition];
    struct activation activation = {.partition = question.partition};
    uint64_t from = end;
    uint64_t after = 0;

    free(ctx);
    if (rc == RC_CLOSED || follower->closed || part->state != RECOVERING ||
        part->generation != question.generation)
        return;
    if (rc != RC_OK) {
        part->ask_again = true;
        return;
    }
    registry_each(follower->config.registry, find_lowest, &activation);
    if (part->last != NULL && part->last->has_packets_seq) {
        from = part->last->packets_seq;
        after = part->last->deliveries_seq;
    } else if (activation.any) {
        from = activation.lowest;
    }
    if (from > end) {
        log_warn("follow.rewound", "partition=%u sequence=%" PRIu64 " end=%" PRIu64,
                 question.partition, from, end);
        from = end; // the stream lost its tail, or is another one
    }
    progress_begin(&part->progress, from, after);
    part->recovery =
        recovery_open(follower->config.records, question.partition, after, on_recovered, follower);
}

// What the registry says of the partition's hooks has to be known as well.
static void on_registry(void *ctx, enum rc rc)
{
    struct end_question *question = ctx;
    struct run *run = question->follower->config.run;
    struct part *part = &question->follower->parts[question->partition];

    if (rc == RC_OK) {
        entry_end(run_requests(run), run_name(run), question->follower->stream_name, on_end,
                  question);
        return;
    }
    if (rc != RC_CLOSED && !question->follower->closed && part->state == RECOVERING &&
        part->generation == question->generation)
        part->ask_again = true;
    free(question);
}

static void ask_end(struct follower *follower, unsigned partition)
{
    struct end_question *question = malloc(sizeof *question);

    if (question == NULL)
        abort();
    *question = (struct end_question){follower, partition, follower->parts[partition].generation};
    registry_catch_up(follower->config.registry, on_registry, question);
}

void follow_on_taken(void *ctx, unsigned partition, const Hr__PartitionOwner *last)
{
    struct follower *follower = ctx;
    struct part *part = &follower->parts[partition];
    ProtobufCMessage *copy = NULL;

    part->state = RECOVERING;
    part->generation = ++follower->generation;
    part->arena = arena_create(1024);
    if (last != NULL) {
        Text bytes = wire_pack(part->arena, &last->base);

        if (wire_unpack(&copy, part->arena, last->base.descriptor, bytes.data, bytes.len) != RC_OK)
            copy = NULL;
    }
    part->last = (Hr__PartitionOwner *)copy;
    ask_end(follower, partition);
}

void follow_on_lost(void *ctx, unsigned partition)
{
    struct follower *follower = ctx;
    struct part *part = &follower->parts[partition];

    drop_hooks(follower, partition);
    recovery_close(part->recovery);
    settled_destroy(part->settled);
    arena_destroy(part->arena);
    *part = (struct part){.state = NONE};
}

// --- what is finished before it was read ---------------------------------------------------------

// A delivery that was found unfinished may be over before its event is read, and must not be
// thought new then.
void follow_on_finished(struct follower *follower, const struct queued *delivery)
{
    const struct hook *hook = delivery->hook;
    struct part *part;
    uint64_t read;

    if (hook == NULL)
        return;
    part = &follower->parts[hook->partition];
    read = hook->behind ? hook->position : part->progress.read;
    if (part->state == ACTIVE && delivery->sequence > read)
        settled_add(&part->settled, &delivery->id, delivery->sequence);
}

// --- how far it has come -------------------------------------------------------------------------

static void store_progress(struct follower *follower, unsigned partition, Hr__PartitionOwner *owner,
                           struct arena *arena)
{
    struct part *part = &follower->parts[partition];
    const struct progress_view view = {
        .queue = follower->config.queue,
        .partition = partition,
        .deliveries_end = follower->config.records->last,
        .events_end = settled_end(part->settled),
    };
    uint64_t floor = progress_fill(&part->progress, &view, owner, arena);

    if (part->settled != NULL && floor >= settled_end(part->settled)) {
        settled_destroy(part->settled);
        part->settled = NULL;
    }
}

void follow_fill(void *ctx, unsigned partition, Hr__PartitionOwner *owner, struct arena *arena)
{
    struct follower *follower = ctx;
    struct part *part = &follower->parts[partition];

    if (part->state == ACTIVE) {
        store_progress(follower, partition, owner, arena);
        progress_refresh(follower->config.queue, partition, follower->config.records->last,
                         follower->config.dispatcher);
    } else if (part->state == RECOVERING && part->last != NULL) {
        *owner = *part->last;
    } else if (part->state == LEAVING) {
        *owner = *part->left;
    }
}

bool follow_may_leave(void *ctx, unsigned partition)
{
    struct follower *follower = ctx;
    struct part *part = &follower->parts[partition];

    if (part->state == ACTIVE) {
        // Nothing new is begun; what is under way goes on to its record.
        part->left = wire_new(part->arena, &hr__partition_owner__descriptor);
        store_progress(follower, partition, part->left, part->arena);
        part->state = LEAVING;
        drop_hooks(follower, partition);
    }
    return dispatcher_in_hand(follower->config.dispatcher, partition) == 0;
}

// --- reading -------------------------------------------------------------------------------------

// One consumer for all partitions, from where the one that has come least far stands.
static void read_from_lowest(struct follower *follower)
{
    struct run *run = follower->config.run;
    uint64_t lowest = UINT64_MAX;

    for (size_t i = 0; i < PARTITIONS; i++) {
        const struct part *part = &follower->parts[i];

        if (part->state == ACTIVE && part->progress.read < lowest)
            lowest = part->progress.read;
    }
    if (lowest == UINT64_MAX || (follower->consumer != NULL && follower->at <= lowest))
        return;
    consumer_close(follower->consumer);
    follower->at = lowest;
    follower->stream.start_after = lowest;
    follower->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &follower->stream);
}

// What was read behind place is gone, and its sequences belong to other changes. A change that was
// delivered before has a record under its own id, so what comes again is not sent again.
static void on_rewound(void *ctx, uint64_t place)
{
    struct follower *follower = ctx;

    for (unsigned i = 0; i < PARTITIONS; i++) {
        struct part *part = &follower->parts[i];

        if (part->state == ACTIVE && part->progress.read > place)
            part->progress.read = place;
    }
    for (struct hook *hook = queue_hooks(follower->config.queue); hook != NULL;
         hook = hook->hh.next) {
        if (hook->position > place)
            hook->position = place;
    }
    follower->at = place;
}

struct follower *follow_open(const struct follow_config *config)
{
    struct follower *follower = calloc(1, sizeof *follower);

    if (follower == NULL)
        abort();
    follower->config = *config;
    follower->arena = arena_create(ARENA_BYTES);
    follower->catchup = catchup_open(&(struct catchup_config){.run = config->run,
                                                              .queue = config->queue,
                                                              .records = config->records,
                                                              .registry = config->registry,
                                                              .offer = on_offer,
                                                              .moved = on_moved,
                                                              .ctx = follower});
    subject_stream(follower->stream_name, 0);
    subject_packets(follower->filter, 0);
    follower->stream = (struct consumer_config){
        .inbox = run_name(config->run),
        .stream = follower->stream_name,
        .filter = follower->filter,
        .from = CONSUME_AFTER,
        .window = WINDOW,
        .on_rewound = on_rewound,
        .on_message = on_message,
        .ctx = follower,
    };
    uv_timer_init(run_loop(config->run), &follower->timer);
    follower->timer.data = follower;
    uv_timer_start(&follower->timer, on_tick, TICK_MS, TICK_MS);
    return follower;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void follow_close(struct follower *follower)
{
    if (follower == NULL)
        return;
    follower->closed = true;
    consumer_close(follower->consumer);
    catchup_close(follower->catchup);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        recovery_close(follower->parts[i].recovery);
        settled_destroy(follower->parts[i].settled);
        arena_destroy(follower->parts[i].arena);
    }
    arena_destroy(follower->arena);
    uv_close((uv_handle_t *)&follower->timer, on_closed);
}
