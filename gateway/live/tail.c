// The live end of one tenant's changes.
//
// The newest changes are kept for two kinds of listeners: those whose clients are a little behind,
// and those who come back after a cut. What is kept beyond that is never needed: older places are
// read from the stream.
#include "gateway/live/parts.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/nats/subjects.h"

#include <stdlib.h>
#include <utlist.h>

#define WINDOW 1000
#define FORCE_BYTES (4 * 1024 * 1024) // even for one who needs it, no more is kept

static void forget_events(struct tail *tail)
{
    while (tail->first != NULL) {
        struct live_event *event = tail->first;

        tail->first = event->next;
        free(event);
    }
    tail->last = NULL;
    tail->count = 0;
    tail->bytes = 0;
}

static bool let_go(struct tail *tail, bool force)
{
    struct listener *listener;

    DL_FOREACH(tail->listeners, listener)
    {
        if (!listener_let_go(listener, tail->first, force))
            return false;
    }
    return true;
}

static void trim(struct tail *tail)
{
    while (tail->first != tail->last &&
           (tail->count > LISTENER_EVENTS_MAX || tail->bytes > LISTENER_BYTES_MAX)) {
        struct live_event *event = tail->first;

        if (!let_go(tail, tail->bytes > FORCE_BYTES))
            return;
        tail->covered = event->sequence;
        tail->first = event->next;
        tail->count--;
        tail->bytes -= live_event_bytes(event);
        free(event);
    }
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct tail *tail = ctx;
    struct live_event *event = live_event_read(msg, delivery->sequence, tail->live->scratch);
    struct listener *listener;

    tail->position = delivery->sequence;
    consumer_release(tail->consumer, 1);
    if (event == NULL)
        return;
    if (tail->last != NULL)
        tail->last->next = event;
    else
        tail->first = event;
    tail->last = event;
    tail->count++;
    tail->bytes += live_event_bytes(event);
    DL_FOREACH(tail->listeners, listener)
    {
        listener_hear(listener, event);
    }
    trim(tail);
}

static void follow(struct tail *tail, uint64_t last)
{
    struct run *run = tail->live->run;

    tail->covered = last;
    tail->position = last;
    tail->config.start_after = last;
    tail->consumer = consumer_open(run_requests(run), run_conn(run), run_loop(run), &tail->config);
}

static void on_end(void *ctx, enum rc rc, uint64_t last)
{
    struct tail *tail = ctx;
    struct listener *listener;

    tail->asking = false;
    if (tail->closing) {
        free(tail);
        return;
    }
    if (rc != RC_OK)
        return; // asked again at the next tick
    if (!tail_is_ready(tail))
        follow(tail, last);
    DL_FOREACH(tail->listeners, listener)
    {
        if (listener->state != LISTENER_STARTING)
            continue;
        listener_begin(listener, last);
        listener->config.on_ready(listener->config.ctx);
    }
}

// The clients have been told of changes that are gone, so they come back and are told what there
// is.
static void on_rewound(void *ctx, uint64_t place)
{
    struct tail *tail = ctx;
    struct listener *listener;

    tail->live->ending = true;
    DL_FOREACH(tail->listeners, listener)
    {
        listener_end(listener, LISTENER_RESET);
    }
    tail->live->ending = false;
    forget_events(tail);
    tail->covered = place;
    tail->position = place;
}

void tail_ask(struct tail *tail)
{
    if (tail->asking)
        return;
    tail->asking = true;
    store_end(run_store(tail->live->run), 0, on_end, tail);
}

bool tail_is_ready(const struct tail *tail)
{
    return tail->consumer != NULL;
}

void tail_restart(struct tail *tail, uint64_t last)
{
    consumer_close(tail->consumer);
    forget_events(tail);
    follow(tail, last);
}

struct tail *tail_find(struct live *live, const char *tenant)
{
    struct tail *tail;

    HASH_FIND_STR(live->tails, tenant, tail);
    if (tail != NULL)
        return tail;
    tail = calloc(1, sizeof *tail);
    if (tail == NULL)
        abort();
    tail->live = live;
    memcpy(tail->tenant, tenant, strlen(tenant) + 1);
    subject_stream(tail->stream, 0);
    subject_packets_of(tail->filter, 0, tenant);
    tail->config = (struct consumer_config){
        .inbox = run_name(live->run),
        .stream = tail->stream,
        .filter = tail->filter,
        .from = CONSUME_AFTER,
        .shared = live->shared,
        .window = WINDOW,
        .on_message = on_message,
        .on_rewound = on_rewound,
        .ctx = tail,
    };
    HASH_ADD_STR(live->tails, tenant, tail);
    return tail;
}

void tail_free(struct tail *tail)
{
    consumer_close(tail->consumer);
    forget_events(tail);
    if (tail->asking)
        tail->closing = true;
    else
        free(tail);
}
