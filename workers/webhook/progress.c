// Two sequences. The one of the packets says up to where every event has a record, so that the one
// who goes on reads behind it. The one of the deliveries says from where the records have to be
// read: those of unfinished deliveries, and those of events behind the first.
#include "workers/webhook/progress.h"

#include <string.h>

#define REFRESH_BEHIND 100000 // records
#define REFRESH_AT_ONCE 50

void progress_begin(struct progress *progress, uint64_t packets_seq, uint64_t deliveries_seq)
{
    progress->read = packets_seq;
    progress->marks[0] = (struct progress_mark){0, deliveries_seq};
    progress->mark_count = 1;
}

static void add_mark(struct progress *progress, uint64_t packets_seq, uint64_t deliveries_seq)
{
    struct progress_mark *last = &progress->marks[progress->mark_count - 1];

    if (packets_seq < last->packets_seq || deliveries_seq <= last->deliveries_seq)
        return;
    if (progress->mark_count == PROGRESS_MARKS) { // every second one will do
        for (size_t i = 1; i < PROGRESS_MARKS / 2; i++)
            progress->marks[i] = progress->marks[i * 2];
        progress->mark_count = PROGRESS_MARKS / 2;
    }
    progress->marks[progress->mark_count++] = (struct progress_mark){packets_seq, deliveries_seq};
}

// The last mark that everything stands behind becomes the first.
static uint64_t drop_marks(struct progress *progress, uint64_t floor)
{
    size_t at = 0;

    while (at + 1 < progress->mark_count && progress->marks[at + 1].packets_seq <= floor)
        at++;
    memmove(progress->marks, progress->marks + at,
            (progress->mark_count - at) * sizeof progress->marks[0]);
    progress->mark_count -= at;
    progress->marks[0].packets_seq = 0;
    return progress->marks[0].deliveries_seq;
}

static void note_oldest(void *ctx, struct queued *delivery)
{
    uint64_t *oldest = ctx;

    if (delivery->record_seq != 0 && delivery->record_seq <= *oldest)
        *oldest = delivery->record_seq - 1;
}

static void add_behind(Hr__PartitionOwner *owner, struct arena *arena, const struct hook *hook,
                       uint64_t sequence)
{
    Hr__HookBehind *behind = wire_new(arena, &hr__hook_behind__descriptor);

    behind->has_hook = true;
    // The hook may be gone by the time this is written.
    behind->hook = text_copy(arena, hook->key, strlen(hook->key));
    behind->has_sequence = true;
    behind->sequence = sequence;
    owner->behind[owner->n_behind++] = behind;
}

static size_t count_behind(const struct progress_view *view)
{
    size_t count = 0;

    for (const struct hook *hook = queue_hooks(view->queue); hook != NULL; hook = hook->hh.next)
        count += hook->partition == view->partition && hook->behind;
    return count;
}

uint64_t progress_fill(struct progress *progress, const struct progress_view *view,
                       Hr__PartitionOwner *owner, struct arena *arena)
{
    uint64_t packets = progress->read;
    uint64_t floor = progress->read;
    uint64_t highest = progress->read;
    uint64_t oldest = UINT64_MAX;
    uint64_t deliveries;

    owner->behind = arena_calloc(arena, count_behind(view) + 1, sizeof(void *));
    for (struct hook *hook = queue_hooks(view->queue); hook != NULL; hook = hook->hh.next) {
        uint64_t reached = hook->behind ? hook->position : progress->read;

        if (hook->partition != view->partition)
            continue;
        if (hook->first_light != NULL && hook->first_light->sequence <= reached)
            reached = hook->first_light->sequence - 1;
        if (hook->behind)
            add_behind(owner, arena, hook, reached);
        else if (reached < packets)
            packets = reached;
        if (reached < floor)
            floor = reached;
        if (hook->position > highest)
            highest = hook->position;
        queue_each(hook, note_oldest, &oldest);
    }
    if (view->events_end > highest)
        highest = view->events_end;
    add_mark(progress, highest, view->deliveries_end);
    deliveries = drop_marks(progress, floor);
    owner->has_packets_seq = true;
    owner->packets_seq = packets;
    owner->has_deliveries_seq = true;
    owner->deliveries_seq = oldest < deliveries ? oldest : deliveries;
    return floor;
}

struct refresh {
    struct dispatcher *dispatcher;
    uint64_t before;
    unsigned left;
};

static void refresh(void *ctx, struct queued *delivery)
{
    struct refresh *wanted = ctx;

    if (wanted->left == 0 || delivery->record_seq == 0 || delivery->record_seq >= wanted->before ||
        delivery->state == DELIVERY_TAKEN)
        return;
    wanted->left--;
    dispatcher_refresh(wanted->dispatcher, delivery);
}

void progress_refresh(struct queue *queue, unsigned partition, uint64_t deliveries_end,
                      struct dispatcher *dispatcher)
{
    struct refresh wanted = {dispatcher, 0, REFRESH_AT_ONCE};

    if (deliveries_end <= REFRESH_BEHIND)
        return;
    wanted.before = deliveries_end - REFRESH_BEHIND;
    for (struct hook *hook = queue_hooks(queue); hook != NULL; hook = hook->hh.next) {
        if (hook->partition == partition)
            queue_each(hook, refresh, &wanted);
    }
}
