// A slot is one consumer at the server, for as long as it has something for its hook.
#include "workers/webhook/catchup.h"

#include "broker/base/log.h"
#include "broker/subjects.h"
#include "workers/webhook/recover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 8
#define WINDOW 200
#define ARENA_BYTES (16 * 1024)

enum slot_kind { EVENTS, DELIVERIES };

struct slot {
    struct catchup *catchup;
    struct hook *hook; // NULL: the slot is free
    enum slot_kind kind;
    uint64_t until; // of DELIVERIES: what Hook.requeued said
    bool current;
    struct consumer_config config;
    struct consumer *consumer;
    char stream[STREAM_BYTES];
    char filter[SUBJECT_BYTES];
};

struct catchup {
    struct catchup_config config;
    struct arena *arena;
    uint64_t turn;
    struct slot slots[SLOTS];
};

static void end(struct slot *slot)
{
    slot->hook->reading = false;
    slot->hook = NULL;
    consumer_close(slot->consumer);
    slot->consumer = NULL;
}

// Has it seen all that was there, also what the one reader left to it meanwhile?
static void end_if_done(struct slot *slot)
{
    struct hook *hook = slot->hook;

    if (hook == NULL || !slot->current)
        return;
    if (slot->kind == DELIVERIES) {
        hook->requeued = slot->until;
        end(slot);
    } else if (hook->position >= hook->skipped) {
        hook->behind = false;
        log_debug("catchup.done", "hook=%s sequence=%" PRIu64, hook->key, hook->position);
        end(slot);
    }
}

static void take_event(struct slot *slot, struct msg *msg, uint64_t sequence)
{
    const struct catchup_config *config = &slot->catchup->config;

    if (config->offer(config->ctx, slot->hook, msg, sequence))
        slot->hook->position = sequence;
    else
        end(slot); // it stays behind, and has its next turn when there is room
}

static void take_delivery(struct slot *slot, struct msg *msg, const struct delivery *delivery)
{
    const struct catchup_config *config = &slot->catchup->config;
    struct recovered recovered;

    if (recover_read(&recovered, msg, delivery, slot->catchup->arena) && !recovered.is_final &&
        queue_find(config->queue, &recovered.fields.id) == NULL)
        config->put_back(config->ctx, slot->hook, &recovered.fields);
    arena_reset(slot->catchup->arena);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct slot *slot = ctx;
    struct consumer *consumer = slot->consumer;

    if (slot->kind == EVENTS)
        take_event(slot, msg, delivery->sequence);
    else
        take_delivery(slot, msg, delivery);
    slot->catchup->config.moved(slot->catchup->config.ctx);
    if (slot->consumer == consumer && slot->hook != NULL) {
        consumer_release(consumer, 1);
        end_if_done(slot);
    }
}

static void on_current(void *ctx, bool current)
{
    struct slot *slot = ctx;

    slot->current = current;
    end_if_done(slot);
}

static void begin(struct catchup *catchup, struct slot *slot, struct hook *hook,
                  enum slot_kind kind)
{
    struct run *run = catchup->config.run;
    uint64_t after = hook->position;

    slot->hook = hook;
    slot->kind = kind;
    slot->current = false;
    hook->reading = true;
    hook->read_turn = hook->tenant->read_turn = ++catchup->turn;
    if (kind == EVENTS) {
        subject_stream(slot->stream, 0);
        (void)snprintf(slot->filter, sizeof slot->filter, "hr.v1.packet.0.%s.*",
                       hook->tenant->name);
    } else {
        slot->until = hook->config->requeued;
        after = hook->config->requeued > 0 ? hook->config->requeued - 1 : 0;
        (void)snprintf(slot->stream, sizeof slot->stream, STREAM_DELIVERIES);
        (void)snprintf(slot->filter, sizeof slot->filter, "hr.v1.delivery.%02u.%s.%s.*",
                       hook->partition, hook->tenant->name, hook->id);
    }
    slot->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = slot->stream,
        .filter = slot->filter,
        .from = CONSUME_AFTER,
        .start_after = after,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .ctx = slot,
    };
    slot->consumer = consumer_open(run_requests(run), run_conn(run), run_loop(run), &slot->config);
}

static struct slot *free_slot(struct catchup *catchup)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (catchup->slots[i].hook == NULL)
            return &catchup->slots[i];
    }
    return NULL;
}

static bool is_put_back(const struct hook *hook)
{
    return hook->config->requeued > hook->requeued;
}

static bool may_begin(const struct catchup *catchup, const struct hook *hook)
{
    return !hook->reading && hook->config != NULL &&
           (is_put_back(hook) || (hook->behind && queue_has_room(catchup->config.queue, hook)));
}

static bool is_before(const struct hook *a, const struct hook *b)
{
    if (a->tenant != b->tenant)
        return a->tenant->read_turn < b->tenant->read_turn;
    return a->read_turn < b->read_turn;
}

// Tenants take turns, and within a tenant its hooks: whoever was read for longest ago.
static struct hook *next_hook(const struct catchup *catchup)
{
    struct hook *found = NULL;

    for (struct hook *hook = queue_hooks(catchup->config.queue); hook != NULL;
         hook = hook->hh.next) {
        if (may_begin(catchup, hook) && (found == NULL || is_before(hook, found)))
            found = hook;
    }
    return found;
}

void catchup_look(struct catchup *catchup)
{
    struct slot *slot;

    while ((slot = free_slot(catchup)) != NULL) {
        struct hook *hook = next_hook(catchup);

        if (hook == NULL)
            return;
        begin(catchup, slot, hook, is_put_back(hook) ? DELIVERIES : EVENTS);
    }
}

void catchup_forget(struct catchup *catchup, const struct hook *hook)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (catchup->slots[i].hook == hook)
            end(&catchup->slots[i]);
    }
}

struct catchup *catchup_open(const struct catchup_config *config)
{
    struct catchup *catchup = calloc(1, sizeof *catchup);

    if (catchup == NULL)
        abort();
    catchup->config = *config;
    catchup->arena = arena_create(ARENA_BYTES);
    for (size_t i = 0; i < SLOTS; i++)
        catchup->slots[i].catchup = catchup;
    return catchup;
}

void catchup_close(struct catchup *catchup)
{
    if (catchup == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++) {
        if (catchup->slots[i].hook != NULL)
            end(&catchup->slots[i]);
    }
    arena_destroy(catchup->arena);
    free(catchup);
}
