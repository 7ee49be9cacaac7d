// What is known of the projection comes from the notification that every one of its commits sends.
// It can only be too old, never too new: a notification is sent after the commit. While somebody
// waits, the table is asked as well, at growing intervals, so that a notification that was lost, or
// a proxy that passes none, costs milliseconds and not a time-out.
#include "workers/query/barrier.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_FIRST_MS 1
#define POLL_MOST_MS 20

struct barrier {
    struct pg *pg;
    uv_loop_t *loop;
    uv_timer_t timer; // until the next poll; runs while somebody waits
    uint64_t interval_ms;
    bool asking; // a poll is under way
    bool closing;
    bool timer_closed; // with it and no poll under way, the memory goes
    struct barrier_wait *waiting;
    struct known {
        int32_t epoch;
        uint64_t last_seq;
    } known[BARRIER_SHARDS];
};

static const struct pg_statement poll_statement = {
    "barrier_poll",
    "SELECT shard, epoch, last_seq FROM projector",
};

static void on_timer(uv_timer_t *timer);

static void learn(struct barrier *barrier, int32_t shard, int32_t epoch, uint64_t last_seq)
{
    struct known *known;

    if (shard < 0 || shard >= BARRIER_SHARDS)
        return;
    known = &barrier->known[shard];
    // A new epoch may begin further back than the old one had come.
    if (epoch > known->epoch || (epoch == known->epoch && last_seq > known->last_seq))
        *known = (struct known){epoch, last_seq};
}

static bool has_passed(const struct barrier *barrier, int32_t shard, uint64_t min_seq)
{
    return min_seq <= barrier->known[shard].last_seq;
}

// Ends those that fate applies to: all of them unless rc is RC_OK, else those whose sequence has
// been passed or whose time is over.
static void settle(struct barrier *barrier, enum rc rc)
{
    uint64_t now = uv_now(barrier->loop);
    struct barrier_wait *all = barrier->waiting;
    struct barrier_wait *ended = NULL;
    struct barrier_wait **end = &ended;
    struct barrier_wait **keep = &barrier->waiting;

    for (struct barrier_wait *wait = all; wait != NULL; wait = wait->next) {
        if (rc != RC_OK || has_passed(barrier, wait->shard, wait->min_seq) ||
            wait->deadline_ms <= now) {
            *end = wait;
            end = &wait->next;
        } else {
            *keep = wait;
            keep = &wait->next;
        }
    }
    *end = NULL;
    *keep = NULL;
    if (barrier->waiting == NULL && !barrier->closing)
        uv_timer_stop(&barrier->timer);
    // Last: a callback may wait again, or close the barrier, and its wait may be gone afterwards.
    while (ended != NULL) {
        struct barrier_wait *wait = ended;
        bool passed = has_passed(barrier, wait->shard, wait->min_seq);

        ended = wait->next;
        wait->done(wait->ctx, rc != RC_OK ? rc : passed ? RC_OK : RC_TIMEOUT);
    }
}

static void release(struct barrier *barrier)
{
    if (barrier->timer_closed && !barrier->asking)
        free(barrier);
}

static void on_polled(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct barrier *barrier = ctx;

    barrier->asking = false;
    if (barrier->closing) {
        release(barrier);
        return;
    }
    for (int row = 0; rc == RC_OK && row < pg_rows(results[0]); row++)
        learn(barrier, (int32_t)pg_get_int(results[0], row, 0),
              (int32_t)pg_get_int(results[0], row, 1), (uint64_t)pg_get_int(results[0], row, 2));
    settle(barrier, rc);
}

static void poll_now(struct barrier *barrier)
{
    enum rc rc;

    if (barrier->interval_ms < POLL_MOST_MS)
        barrier->interval_ms = 2 * barrier->interval_ms;
    if (barrier->interval_ms > POLL_MOST_MS)
        barrier->interval_ms = POLL_MOST_MS;
    uv_timer_start(&barrier->timer, on_timer, barrier->interval_ms, 0);
    if (barrier->asking)
        return;
    rc = pg_query(barrier->pg, &poll_statement, NULL, 0, on_polled, barrier);
    if (rc == RC_OK)
        barrier->asking = true;
    else
        settle(barrier, rc);
}

static void on_timer(uv_timer_t *timer)
{
    struct barrier *barrier = timer->data;

    settle(barrier, RC_OK); // those whose time is over
    if (barrier->waiting != NULL)
        poll_now(barrier);
}

struct barrier *barrier_open(struct pg *pg, uv_loop_t *loop)
{
    struct barrier *barrier = calloc(1, sizeof *barrier);

    if (barrier == NULL)
        abort();
    barrier->pg = pg;
    barrier->loop = loop;
    uv_timer_init(loop, &barrier->timer);
    barrier->timer.data = barrier;
    return barrier;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct barrier *barrier = handle->data;

    barrier->timer_closed = true;
    release(barrier);
}

void barrier_close(struct barrier *barrier)
{
    if (barrier == NULL)
        return;
    barrier->closing = true;
    settle(barrier, RC_CLOSED);
    uv_close((uv_handle_t *)&barrier->timer, on_timer_closed);
}

void barrier_on_notify(struct barrier *barrier, const char *payload)
{
    int32_t shard;
    int32_t epoch;
    uint64_t last_seq;

    // NOLINTNEXTLINE(cert-err34-c): our own numbers; a wild one is out of bounds or only too small
    if (sscanf(payload, "%" SCNd32 " %" SCNd32 " %" SCNu64, &shard, &epoch, &last_seq) != 3)
        return;
    learn(barrier, shard, epoch, last_seq);
    if (barrier->waiting != NULL)
        settle(barrier, RC_OK);
}

void barrier_on_state(struct barrier *barrier, bool up)
{
    // What happens in between is not heard. Another server may come back, too, with less in it.
    if (!up) {
        for (int shard = 0; shard < BARRIER_SHARDS; shard++)
            barrier->known[shard] = (struct known){0};
        settle(barrier, RC_UNAVAILABLE);
    }
}

void barrier_wait(struct barrier *barrier, struct barrier_wait *wait, int32_t shard,
                  uint64_t min_seq, barrier_done done, void *ctx)
{
    assert(shard >= 0 && shard < BARRIER_SHARDS);
    if (barrier->closing || min_seq == 0 || has_passed(barrier, shard, min_seq)) {
        done(ctx, barrier->closing ? RC_CLOSED : RC_OK);
        return;
    }
    *wait = (struct barrier_wait){
        .next = barrier->waiting,
        .min_seq = min_seq,
        .deadline_ms = uv_now(barrier->loop) + BARRIER_MS,
        .shard = shard,
        .done = done,
        .ctx = ctx,
    };
    barrier->waiting = wait;
    if (wait->next == NULL) {
        barrier->interval_ms = POLL_FIRST_MS;
        poll_now(barrier);
    }
}
