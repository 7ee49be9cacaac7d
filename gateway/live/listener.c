// One listener: a place in the stream, and two ways to go on from there.
//
// Following the tail: what is behind its place is kept there. Catching up: it reads the stream with
// a consumer of its own, at the pace of its client, until it has read everything that was there
// when it began; if the tail still keeps what has come since, it follows from there, otherwise it
// begins once more, much nearer. When it may read is up to turns.c.
#include "gateway/live/live.h"
#include "gateway/live/parts.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"

#include <stdlib.h>
#include <utlist.h>

// What one that catches up has waiting here: so much, and then what was on its way.
#define WINDOW 16
#define KEPT_EVENTS 64
#define KEPT_BYTES (64 * 1024)

// One that is behind by so few changes is not slow, whatever their size.
#define FEW_EVENTS 8

static void catch_up(struct listener *listener, uint64_t place);

static void notify(struct listener *listener)
{
    listener->config.on_ready(listener->config.ctx);
}

static bool wants(const struct listener *listener, const struct live_event *event)
{
    return channels_want(listener->config.channels, event);
}

// --- following the tail --------------------------------------------------------------------------

static void count_behind(struct listener *listener)
{
    listener->behind = 0;
    listener->behind_bytes = 0;
    for (const struct live_event *event = listener->at; event != NULL; event = event->next) {
        if (!wants(listener, event))
            continue;
        listener->behind++;
        listener->behind_bytes += event->envelope.len;
    }
}

static bool is_far_behind(const struct listener *listener, size_t share)
{
    return listener->behind > LISTENER_EVENTS_MAX / share ||
           listener->behind_bytes > LISTENER_BYTES_MAX / share;
}

// False: the tail does not keep all that is behind place, or so much that the listener would soon
// be too slow.
static bool join(struct listener *listener, uint64_t place)
{
    const struct tail *tail = listener->tail;
    const struct live_event *event = tail->first;

    if (place < tail->covered)
        return false;
    while (event != NULL && event->sequence <= place)
        event = event->next;
    listener->position = place;
    listener->at = event;
    count_behind(listener);
    if (!is_far_behind(listener, 2))
        return true;
    listener->at = NULL;
    return false;
}

// The tail cannot keep what it has not taken yet: few large changes it reads from the stream, at
// its own pace; with many it is too slow.
static void leave_tail(struct listener *listener)
{
    if (listener->behind <= FEW_EVENTS)
        catch_up(listener, listener->position);
    else
        listener_end(listener, LISTENER_SLOW);
}

void listener_hear(struct listener *listener, const struct live_event *event)
{
    bool wanted;

    if (listener->state != LISTENER_HEARS || listener->turn != TURN_NONE ||
        event->sequence <= listener->position)
        return;
    wanted = wants(listener, event);
    if (listener->at == NULL && !wanted) {
        listener->position = event->sequence;
        return;
    }
    if (listener->at == NULL)
        listener->at = event;
    if (!wanted)
        return;
    listener->behind++;
    listener->behind_bytes += event->envelope.len;
    if (is_far_behind(listener, 1))
        leave_tail(listener);
    else if (listener->behind == 1)
        notify(listener);
}

bool listener_let_go(struct listener *listener, const struct live_event *event, bool force)
{
    if (listener->at != event)
        return true;
    if (force)
        leave_tail(listener);
    return force;
}

static const struct live_event *take_next(struct listener *listener)
{
    while (listener->at != NULL) {
        const struct live_event *event = listener->at;
        bool wanted = wants(listener, event);

        listener->at = event->next;
        listener->position = event->sequence;
        if (!wanted)
            continue;
        listener->behind--;
        listener->behind_bytes -= event->envelope.len;
        return event;
    }
    return NULL;
}

// --- catching up ---------------------------------------------------------------------------------

bool listener_stop_catching(struct listener *listener)
{
    struct catching *catching = listener->catching;
    bool has_more;

    if (catching == NULL)
        return false;
    has_more = catching->first != NULL;
    // What was read and not wanted need not be read once more.
    listener->position = has_more ? catching->first->sequence - 1 : catching->seen;
    listener->catching = NULL;
    consumer_close(catching->consumer);
    while (catching->first != NULL) {
        struct live_event *event = catching->first;

        catching->first = event->next;
        free(event);
    }
    free(catching->taken);
    free(catching);
    return has_more;
}

bool listener_has_come_further(const struct listener *listener)
{
    return listener->catching != NULL && listener->catching->seen > listener->catching->from;
}

// More is let in while what waits is little; otherwise that is owed until something is taken.
static void keep(struct catching *catching, struct live_event *event)
{
    if (catching->last != NULL)
        catching->last->next = event;
    else
        catching->first = event;
    catching->last = event;
    catching->count++;
    catching->bytes += live_event_bytes(event);
    if (catching->count < KEPT_EVENTS && catching->bytes < KEPT_BYTES)
        consumer_release(catching->consumer, 1);
    else
        catching->owed++;
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct listener *listener = ctx;
    struct catching *catching = listener->catching;
    struct live_event *event =
        live_event_read(msg, delivery->sequence, listener->tail->live->scratch);

    catching->seen = delivery->sequence;
    if (event != NULL && !wants(listener, event)) {
        free(event);
        event = NULL;
    }
    if (event == NULL) {
        consumer_release(catching->consumer, 1);
        return;
    }
    keep(catching, event);
    if (catching->first == event)
        notify(listener);
}

static void on_current(void *ctx, bool current)
{
    struct listener *listener = ctx;

    listener->catching->caught_up = current;
    if (current && listener->catching->first == NULL)
        notify(listener);
}

static void on_rewound(void *ctx, uint64_t place)
{
    (void)place;
    listener_end(ctx, LISTENER_RESET);
}

void listener_start_catching(struct listener *listener)
{
    struct tail *tail = listener->tail;
    struct run *run = tail->live->run;
    struct catching *catching = calloc(1, sizeof *catching);

    if (catching == NULL)
        abort();
    listener->catching = catching;
    catching->from = listener->position;
    catching->seen = listener->position;
    catching->level = tail->position;
    catching->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = tail->stream,
        .filter = tail->filter,
        .from = CONSUME_AFTER,
        .start_after = listener->position,
        .shared = tail->live->shared,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .on_rewound = on_rewound,
        .ctx = listener,
    };
    catching->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &catching->config);
}

static void catch_up(struct listener *listener, uint64_t place)
{
    (void)listener_stop_catching(listener);
    listener->at = NULL;
    listener->position = place;
    turns_ask(listener);
}

static const struct live_event *take_caught(struct listener *listener)
{
    struct catching *catching = listener->catching;
    struct live_event *event = catching->first;

    free(catching->taken);
    catching->taken = event;
    if (event == NULL)
        return NULL;
    catching->first = event->next;
    if (catching->first == NULL)
        catching->last = NULL;
    listener->position = event->sequence;
    catching->count--;
    catching->bytes -= live_event_bytes(event);
    if (catching->owed > 0) {
        catching->owed--;
        consumer_release(catching->consumer, 1);
    }
    return event;
}

// Everything that was read has been taken.
static void leave_catching(struct listener *listener)
{
    const struct catching *catching = listener->catching;
    uint64_t place = catching->seen > catching->level ? catching->seen : catching->level;

    (void)listener_stop_catching(listener);
    if (join(listener, place))
        turns_leave(listener);
    else
        catch_up(listener, place);
}

// --- the whole of it -----------------------------------------------------------------------------

void listener_begin(struct listener *listener, uint64_t end)
{
    uint64_t now = listener->tail->position;
    uint64_t place = listener->config.resumes ? listener->config.since : now;

    listener->state = LISTENER_HEARS;
    listener->is_reset = place > now && place > end;
    if (listener->is_reset)
        place = now;
    channels_restart(listener->config.channels, place);
    if (!join(listener, place))
        catch_up(listener, place);
}

void listener_end(struct listener *listener, enum listener_state state)
{
    if (listener->state > LISTENER_HEARS)
        return;
    log_info("live.ended", "tenant=%s state=%d position=%llu", listener->tail->tenant, (int)state,
             (unsigned long long)listener->position);
    (void)listener_stop_catching(listener);
    turns_leave(listener);
    listener->at = NULL;
    listener->state = state;
    notify(listener);
}

enum listener_state listener_state(const struct listener *listener)
{
    return listener->state;
}

bool listener_is_reset(const struct listener *listener)
{
    return listener->is_reset;
}

uint64_t listener_position(const struct listener *listener)
{
    return listener->position;
}

const struct live_event *listener_take(struct listener *listener)
{
    const struct live_event *event;

    if (listener->state != LISTENER_HEARS)
        return NULL;
    if (listener->turn == TURN_PARKED)
        turns_ask(listener);
    if (listener->catching != NULL) {
        event = take_caught(listener);
        if (event != NULL || !listener->catching->caught_up)
            return event;
        leave_catching(listener);
    }
    return listener->turn == TURN_NONE ? take_next(listener) : NULL;
}

void listener_rewind(struct listener *listener, uint64_t since)
{
    if (listener->state != LISTENER_HEARS)
        return;
    if (since < listener->position)
        catch_up(listener, since);
    else if (listener->turn == TURN_NONE)
        count_behind(listener);
    if (listener->turn == TURN_NONE && listener->behind > 0)
        notify(listener);
}

void listener_close(struct listener *listener)
{
    struct tail *tail;

    if (listener == NULL)
        return;
    tail = listener->tail;
    (void)listener_stop_catching(listener);
    turns_leave(listener);
    DL_DELETE(tail->listeners, listener);
    if (tail->listeners == NULL)
        tail->unused_ns = clock_now_ns();
    free(listener);
}
