// All tenants that are listened to.
#include "gateway/live/live.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "gateway/live/parts.h"

#include <stdlib.h>
#include <utlist.h>

#define TICK_MS 1000
#define UNUSED_NS (60 * 1000000000LL) // so long a tail is kept for those who come back
#define SCRATCH_BYTES (64 * 1024)

static void on_tick(uv_timer_t *timer)
{
    struct live *live = timer->data;
    struct tail *unused = NULL; // one at a time is enough

    for (struct tail *tail = live->tails; tail != NULL; tail = tail->hh.next) {
        struct listener *listener;
        struct listener *other;

        if (!tail_is_ready(tail))
            tail_ask(tail);
        DL_FOREACH_SAFE(tail->listeners, listener, other)
        {
            listener->config.on_tick(listener->config.ctx);
        }
        if (tail->listeners == NULL && clock_now_ns() - tail->unused_ns > UNUSED_NS)
            unused = tail;
    }
    turns_tick(live);
    if (unused == NULL)
        return;
    HASH_DEL(live->tails, unused);
    tail_free(unused);
}

struct live *live_open(struct run *run)
{
    struct live *live = calloc(1, sizeof *live);

    if (live == NULL)
        abort();
    live->run = run;
    live->scratch = arena_create(SCRATCH_BYTES);
    if (shared_inbox_open(&live->shared, run_conn(run), run_name(run)) != RC_OK)
        log_warn("live.inbox", "error=\"each consumer has its own\"");
    notices_listen(live);
    uv_timer_init(run_loop(run), &live->tick);
    live->tick.data = live;
    uv_timer_start(&live->tick, on_tick, TICK_MS, TICK_MS);
    return live;
}

static void on_closed(uv_handle_t *handle)
{
    struct live *live = handle->data;

    arena_destroy(live->scratch);
    free(live);
}

void live_close(struct live *live)
{
    struct tail *tail;
    struct tail *next;

    if (live == NULL)
        return;
    tail = live->tails;
    HASH_CLEAR(hh, live->tails); // the table; what was in it is still linked
    for (; tail != NULL; tail = next) {
        next = tail->hh.next;
        tail_free(tail);
    }
    shared_inbox_close(live->shared);
    conn_unsubscribe(live->notices);
    uv_close((uv_handle_t *)&live->tick, on_closed);
}

static void end_all(struct live *live, uint64_t beyond, enum listener_state state)
{
    live->ending = true;
    for (struct tail *tail = live->tails; tail != NULL; tail = tail->hh.next) {
        struct listener *listener;

        if (tail->position < beyond)
            continue;
        DL_FOREACH(tail->listeners, listener)
        {
            listener_end(listener, state);
        }
    }
    live->ending = false;
}

void live_drain(struct live *live)
{
    end_all(live, 0, LISTENER_SHUTDOWN);
}

struct listener *live_listen(struct live *live, const struct listener_config *config)
{
    struct listener *listener = calloc(1, sizeof *listener);

    if (listener == NULL)
        abort();
    listener->config = *config;
    listener->tail = tail_find(live, config->tenant);
    DL_APPEND(listener->tail->listeners, listener);
    if (!tail_is_ready(listener->tail) ||
        (config->resumes && config->since > listener->tail->position))
        tail_ask(listener->tail);
    else
        listener_begin(listener, listener->tail->position);
    return listener;
}
