// A slot is one consumer at the server, for as long as it has something for its hook, or one
// recovery.
#include "workers/webhook/catchup.h"

#include "broker/base/log.h"
#include "broker/nats/subjects.h"
#include "workers/webhook/requeue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 8
#define WINDOW 200
#define ARENA_BYTES 4096

struct slot {
    struct catchup *catchup;
    struct hook *hook;       // NULL: the slot is free
    struct requeue *requeue; // NULL: it reads events
    struct note *note;       // while that is written down
    uint64_t number;         // of the recovery
    bool current;
    struct consumer_config config;
    struct consumer *consumer;
    char stream[STREAM_BYTES];
    char filter[SUBJECT_BYTES];
};

struct catchup {
    struct catchup_config config;
    uint64_t turn;
    struct slot slots[SLOTS];
};

// What came of a recovery, for the hook's entry.
struct note {
    struct slot *slot; // NULL: its hook is not ours any more
    struct arena *arena;
    char key[HOOK_KEY_BYTES];
    uint64_t number;
    struct requeue_outcome outcome;
};

static void end(struct slot *slot)
{
    if (slot->note != NULL)
        slot->note->slot = NULL;
    slot->note = NULL;
    requeue_close(slot->requeue);
    slot->requeue = NULL;
    slot->hook->reading = false;
    slot->hook = NULL;
    consumer_close(slot->consumer);
    slot->consumer = NULL;
}

// --- events --------------------------------------------------------------------------------------

// Has it seen all that was there, also what the one reader left to it meanwhile?
static void end_if_done(struct slot *slot)
{
    struct hook *hook = slot->hook;

    if (hook == NULL || !slot->current || hook->position < hook->skipped)
        return;
    hook->behind = false;
    log_debug("catchup.done", "hook=%s sequence=%" PRIu64, hook->key, hook->position);
    end(slot);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct slot *slot = ctx;
    const struct catchup_config *config = &slot->catchup->config;
    struct consumer *consumer = slot->consumer;

    if (config->offer(config->ctx, slot->hook, msg, delivery->sequence))
        slot->hook->position = delivery->sequence;
    else
        end(slot); // it stays behind, and has its next turn when there is room
    config->moved(config->ctx);
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

// It has its turn.
static void occupy(struct slot *slot, struct hook *hook)
{
    slot->hook = hook;
    slot->current = false;
    hook->reading = true;
    hook->read_turn = hook->tenant->read_turn = ++slot->catchup->turn;
}

static void begin_events(struct slot *slot, struct hook *hook)
{
    struct run *run = slot->catchup->config.run;

    occupy(slot, hook);
    subject_stream(slot->stream, 0);
    (void)snprintf(slot->filter, sizeof slot->filter, "hr.v1.packet.0.%s.*", hook->tenant->name);
    slot->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = slot->stream,
        .filter = slot->filter,
        .from = CONSUME_AFTER,
        .start_after = hook->position,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .ctx = slot,
    };
    slot->consumer = consumer_open(run_requests(run), run_conn(run), run_loop(run), &slot->config);
}

// --- recoveries ----------------------------------------------------------------------------------

static bool edit_hook(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    const struct note *note = ctx;

    (void)arena;
    if (hook->requeue_written < note->number) {
        hook->has_requeue_written = hook->has_requeue_count = true;
        hook->requeue_written = note->number;
        hook->requeue_count = note->outcome.count;
    }
    if (note->outcome.is_complete && hook->requeue_done < note->number) {
        hook->has_requeue_done = true;
        hook->requeue_done = note->number;
    }
    return true;
}

static void on_noted(void *ctx, enum rc rc, Hr__Hook *changed)
{
    struct note *note = ctx;
    struct slot *slot = note->slot;

    (void)changed;
    if (rc != RC_OK && rc != RC_CLOSED)
        log_warn("catchup.note", "hook=%s reason=\"%s\"", note->key, rc_text(rc));
    if (slot != NULL) {
        if (rc == RC_OK && note->outcome.is_complete)
            slot->hook->requeued = note->number;
        end(slot);
    }
    arena_destroy(note->arena);
    free(note);
}

static void on_requeued(void *ctx, const struct requeue_outcome *outcome)
{
    struct slot *slot = ctx;
    struct note *note;

    if (outcome->failed) {
        end(slot); // it has its next turn
        return;
    }
    note = calloc(1, sizeof *note);
    if (note == NULL)
        abort();
    *note = (struct note){.slot = slot,
                          .arena = arena_create(ARENA_BYTES),
                          .number = slot->number,
                          .outcome = *outcome};
    memcpy(note->key, slot->hook->key, sizeof note->key);
    slot->note = note;
    log_info("catchup.requeued", "hook=%s letters=%" PRIu64 " complete=%d", note->key,
             outcome->count, outcome->is_complete);
    registry_edit(slot->catchup->config.registry, note->key, note->arena, edit_hook, on_noted,
                  note);
}

static void on_moved(void *ctx)
{
    const struct slot *slot = ctx;

    slot->catchup->config.moved(slot->catchup->config.ctx);
}

static void begin_requeue(struct slot *slot, struct hook *hook)
{
    const struct catchup_config *config = &slot->catchup->config;
    const Hr__Hook *entry = hook->config;

    occupy(slot, hook);
    slot->number = entry->requeued;
    slot->requeue = requeue_open(
        &(struct requeue_config){.run = config->run,
                                 .records = config->records,
                                 .queue = config->queue,
                                 .hook = hook,
                                 .number = slot->number,
                                 .puts_back = entry->active && entry->requeue_since != NULL,
                                 .since_us = wire_timestamp_us(entry->requeue_since),
                                 .moved = on_moved,
                                 .done = on_requeued,
                                 .ctx = slot});
}

// Is there a recovery to begin, or to go on with?
static bool is_to_requeue(const struct catchup *catchup, const struct hook *hook)
{
    const Hr__Hook *entry = hook->config;

    if (entry->requeued <= hook->requeued || entry->requeued <= entry->requeue_done)
        return false;
    return entry->requeue_written < entry->requeued || queue_has_room(catchup->config.queue, hook);
}

// --- all of them ---------------------------------------------------------------------------------

static struct slot *free_slot(struct catchup *catchup)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (catchup->slots[i].hook == NULL)
            return &catchup->slots[i];
    }
    return NULL;
}

static bool may_begin(const struct catchup *catchup, const struct hook *hook)
{
    return !hook->reading && hook->config != NULL &&
           (is_to_requeue(catchup, hook) ||
            (hook->behind && queue_has_room(catchup->config.queue, hook)));
}

static bool is_before(const struct hook *a, const struct hook *b)
{
    if (a->tenant != b->tenant)
        return a->tenant->read_turn < b->tenant->read_turn;
    return a->read_turn < b->read_turn;
}

// Tenants take turns, and within a tenant its hooks: the one that was read for longest ago.
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
        if (is_to_requeue(catchup, hook))
            begin_requeue(slot, hook);
        else
            begin_events(slot, hook);
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
    free(catchup);
}
