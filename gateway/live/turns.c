// Who may catch up now.
//
// Catching up means a consumer in NATS and a reading of the stream, so only CATCHING_MAX listeners
// do it at a time. The others wait: in order within their tenant, and tenants take turns. While
// somebody waits, a listener that has had its place for SLICE_NS gives it to the next and waits
// again, from where it has come to, so nothing is lost. One whose client takes nothing is parked
// instead: it waits again only when its client asks for more, so that clients who do not read
// cannot keep the places to themselves.
#include "gateway/live/parts.h"

#include "broker/base/timestamp.h"

#include <assert.h>
#include <utlist.h>

#define CATCHING_MAX 32
#define SLICE_NS (2 * 1000000000LL)
// A listener that has not come further, because NATS is slow, keeps its place longer.
#define SLICE_WITHOUT_PROGRESS_NS (10 * 1000000000LL)

static void leave_queue(struct listener *listener)
{
    struct tail *tail = listener->tail;
    struct live *live = tail->live;

    DL_DELETE2(tail->waiting, listener, turn_prev, turn_next);
    live->waiting_count--;
    if (tail->waiting == NULL)
        DL_DELETE2(live->waiting, tail, turn_prev, turn_next);
    listener->turn = TURN_NONE;
}

static void leave_place(struct listener *listener)
{
    struct live *live = listener->tail->live;

    DL_DELETE2(live->catching, listener, turn_prev, turn_next);
    live->catching_count--;
    listener->turn = TURN_NONE;
}

static void enter_queue(struct listener *listener)
{
    struct tail *tail = listener->tail;
    struct live *live = tail->live;

    if (tail->waiting == NULL)
        DL_APPEND2(live->waiting, tail, turn_prev, turn_next);
    DL_APPEND2(tail->waiting, listener, turn_prev, turn_next);
    live->waiting_count++;
    listener->turn = TURN_WAITING;
}

static void grant(struct live *live)
{
    while (live->waiting != NULL && live->catching_count < CATCHING_MAX && !live->ending) {
        struct tail *tail = live->waiting;
        struct listener *listener = tail->waiting;

        assert(listener != NULL); // a tail is in the list while somebody waits there
        leave_queue(listener);
        if (tail->waiting != NULL) { // other tenants first
            DL_DELETE2(live->waiting, tail, turn_prev, turn_next);
            DL_APPEND2(live->waiting, tail, turn_prev, turn_next);
        }
        DL_APPEND2(live->catching, listener, turn_prev, turn_next);
        live->catching_count++;
        listener->turn = TURN_CATCHING;
        listener->turn_ns = clock_now_ns();
        listener_start_catching(listener);
    }
}

void turns_ask(struct listener *listener)
{
    if (listener->turn == TURN_CATCHING) {
        listener_start_catching(listener);
        return;
    }
    if (listener->turn == TURN_WAITING)
        return;
    enter_queue(listener);
    grant(listener->tail->live);
}

void turns_leave(struct listener *listener)
{
    if (listener->turn == TURN_WAITING)
        leave_queue(listener);
    else if (listener->turn == TURN_CATCHING)
        leave_place(listener);
    listener->turn = TURN_NONE;
    grant(listener->tail->live);
}

static bool is_over(const struct listener *listener, int64_t now_ns)
{
    int64_t held_ns = now_ns - listener->turn_ns;

    return held_ns >= SLICE_WITHOUT_PROGRESS_NS ||
           (held_ns >= SLICE_NS && listener_has_come_further(listener));
}

void turns_tick(struct live *live)
{
    int64_t now_ns = clock_now_ns();
    struct listener *listener;
    struct listener *next;
    size_t wanted = live->waiting_count; // places

    DL_FOREACH_SAFE2(live->catching, listener, next, turn_next)
    {
        bool waits_for_client;

        if (wanted == 0 || !is_over(listener, now_ns))
            continue;
        wanted--;
        waits_for_client = listener_stop_catching(listener);
        leave_place(listener);
        if (waits_for_client)
            listener->turn = TURN_PARKED;
        else
            enter_queue(listener);
    }
    grant(live);
}
