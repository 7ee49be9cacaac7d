// One statement at a time, with a pause between two, so that others are not held up.
#include "workers/audit/prune.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"

#include <inttypes.h>
#include <stdlib.h>

#define STEP 1000   // rows of one statement: milliseconds, beside which others go on
#define STEP_MS 100 // between two while there are more
#define ROUND_MS 3600000
#define AGAIN_MS 60000 // after one that failed
#define US_PER_DAY (86400 * US_PER_SECOND)

struct prune {
    struct pg *pg;
    int64_t keep_us;
    uv_timer_t timer;
    bool wanted;
    bool busy;
};

static const struct pg_statement prune_statement = {
    "deliveries_prune",
    "WITH gone AS (DELETE FROM webhook_deliveries WHERE (tenant, hook_id, id) IN"
    " (SELECT tenant, hook_id, id FROM webhook_deliveries WHERE updated_at < $1"
    " ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1)"
    " SELECT count(*) FROM gone",
};

static void step(struct prune *prune);

static void on_timer(uv_timer_t *timer)
{
    step(timer->data);
}

static void step_after(struct prune *prune, uint64_t ms)
{
    if (prune->wanted)
        uv_timer_start(&prune->timer, on_timer, ms, 0);
}

static void on_pruned(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct prune *prune = ctx;
    int64_t gone = rc == RC_OK ? pg_get_int(results[0], 0, 0) : 0;

    prune->busy = false;
    if (gone > 0)
        log_info("deliveries.pruned", "rows=%" PRId64, gone);
    step_after(prune, rc != RC_OK ? AGAIN_MS : gone == STEP ? STEP_MS : ROUND_MS);
}

static void step(struct prune *prune)
{
    const struct pg_param params[] = {pg_timestamptz(timestamp_now_us() - prune->keep_us),
                                      pg_int8(STEP)};

    if (prune->busy)
        return;
    if (pg_query(prune->pg, &prune_statement, params, 2, on_pruned, prune) == RC_OK)
        prune->busy = true;
    else
        step_after(prune, AGAIN_MS);
}

struct prune *prune_open(uv_loop_t *loop, struct pg *pg, int64_t days)
{
    struct prune *prune = calloc(1, sizeof *prune);

    if (prune == NULL)
        abort();
    prune->pg = pg;
    prune->keep_us = days * US_PER_DAY;
    uv_timer_init(loop, &prune->timer);
    prune->timer.data = prune;
    return prune;
}

void prune_begin(struct prune *prune)
{
    prune->wanted = true;
    step(prune);
}

void prune_pause(struct prune *prune)
{
    prune->wanted = false;
    uv_timer_stop(&prune->timer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void prune_close(struct prune *prune)
{
    if (prune == NULL)
        return;
    prune_pause(prune);
    uv_close((uv_handle_t *)&prune->timer, on_closed);
}
