// The statements of the projection, and the one operation under way.
#include "workers/audit/projection.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "workers/audit/batch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_CLASS 0x4852 // "HR": our half of the advisory lock's number, the shard is the other
#define MONTHS_KNOWN 64
#define PAYLOAD_BYTES 64 // of a notification

struct projection {
    struct pg *pg;
    int32_t shard;
    struct projection_place place;
    struct projection_place next; // where the operation under way leads
    struct batch batch;
    int months[MONTHS_KNOWN]; // whose partitions were made; beyond that they are asked for again
    size_t month_count;
    size_t new_month_count; // of batch.months, moved to the front: made by the write under way

    bool busy;
    projection_done done;
    projection_event_done event_done;
    void *ctx;
};

static const struct pg_statement lock_statement = {
    "projector_lock",
    "SELECT pg_try_advisory_lock($1, $2)",
};

static const struct pg_statement load_statement = {
    "projector_load",
    "SELECT epoch, last_seq, last_event_id, stream_created_at FROM projector WHERE shard = $1",
};

static const struct pg_statement begin_epoch_statement = {
    "projector_begin_epoch",
    "SELECT projector_begin_epoch($1, $2, $3, $4, $5)",
};

static const struct pg_statement event_at_statement = {
    "projector_event_at",
    "SELECT event_id FROM packet_events WHERE shard = $1 AND seq = $2 ORDER BY epoch DESC LIMIT 1",
};

static const struct pg_statement notify_statement = {
    "projector_notify",
    "SELECT pg_notify('" PROJECTION_CHANNEL "', $1)",
};

// A write is these, in this order. The first keeps every other writer out until the commit; from
// then on last_seq cannot move, and the others leave out what is not behind it. When the epoch is
// not ours any more there is no such row, nothing is behind nothing, and nothing is written.
static const struct pg_statement guard_statement = {
    "projector_guard",
    "SELECT last_seq FROM projector WHERE shard = $1 AND epoch = $2 FOR UPDATE",
};

static const struct pg_statement months_statement = {
    "projector_months",
    "SELECT packet_events_make_month(make_timestamptz((m / 12)::integer, (m % 12)::integer + 1, 1,"
    " 0, 0, 0, 'UTC')) FROM unnest($1) AS m",
};

static const struct pg_statement events_statement = {
    "projector_events",
    "WITH stored AS ("
    "INSERT INTO packet_events (shard, epoch, seq, at, event_id, packet_id, tenant, type, actor,"
    " key_id, details, record)"
    " SELECT $1, $2, u.* FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    " AS u (seq, at, event_id, packet_id, tenant, type, actor, key_id, details, record)"
    " WHERE u.seq > (SELECT last_seq FROM projector WHERE shard = $1 AND epoch = $2)"
    " RETURNING tenant, type)"
    " INSERT INTO event_counts AS c (tenant, type, shard, n)"
    " SELECT tenant, type, $1, count(*) FROM stored GROUP BY tenant, type"
    " ON CONFLICT (tenant, type, shard) DO UPDATE SET n = c.n + excluded.n",
};

// The counts move by what the packets are now, less what they were. No part of a statement sees
// what another part of it does, so "earlier" is the state before.
static const struct pg_statement packets_statement = {
    "projector_packets",
    "WITH incoming AS (SELECT u.*"
    " FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    " AS u (seq, created_at, updated_at, id, tenant, status, priority, source_agent, target_agent,"
    " tags, packet)"
    " WHERE u.seq > (SELECT last_seq FROM projector WHERE shard = $1 AND epoch = $2)),"
    " earlier AS (SELECT p.tenant, p.status FROM incoming i"
    " JOIN packets p ON p.tenant = i.tenant AND p.id = i.id"
    " WHERE (p.epoch, p.seq) < ($2, i.seq)),"
    " stored AS ("
    "INSERT INTO packets AS p (shard, epoch, seq, created_at, updated_at, id, tenant, status,"
    " priority, source_agent, target_agent, tags, packet)"
    " SELECT $1, $2, u.seq, u.created_at, u.updated_at, u.id, u.tenant, u.status, u.priority,"
    " u.source_agent, u.target_agent, u.tags::text[], u.packet FROM incoming u"
    " ON CONFLICT (tenant, id) DO UPDATE SET"
    " shard = excluded.shard, epoch = excluded.epoch, seq = excluded.seq,"
    " created_at = excluded.created_at, updated_at = excluded.updated_at,"
    " status = excluded.status, priority = excluded.priority,"
    " source_agent = excluded.source_agent, target_agent = excluded.target_agent,"
    " tags = excluded.tags, packet = excluded.packet"
    " WHERE (p.epoch, p.seq) < (excluded.epoch, excluded.seq)"
    " RETURNING p.tenant, p.status)"
    " INSERT INTO packet_counts AS c (tenant, status, shard, n)"
    " SELECT tenant, status, $1, sum(d) FROM (SELECT tenant, status, 1 AS d FROM stored"
    " UNION ALL SELECT tenant, status, -1 FROM earlier) AS moved"
    " GROUP BY tenant, status HAVING sum(d) <> 0"
    " ON CONFLICT (tenant, status, shard) DO UPDATE SET n = c.n + excluded.n",
};

static const struct pg_statement advance_statement = {
    "projector_advance",
    "UPDATE projector SET last_seq = $3, last_event_id = $4, updated_at = now()"
    " WHERE shard = $1 AND epoch = $2 AND last_seq < $3",
};

enum { STEP_GUARD, STEP_MONTHS, STEP_EVENTS, STEP_PACKETS, STEP_ADVANCE, STEP_NOTIFY, STEPS };

struct projection *projection_create(struct pg *pg, int32_t shard)
{
    struct projection *projection = calloc(1, sizeof *projection);

    if (projection == NULL)
        abort();
    projection->pg = pg;
    projection->shard = shard;
    batch_init(&projection->batch);
    return projection;
}

void projection_destroy(struct projection *projection)
{
    if (projection == NULL)
        return;
    batch_fini(&projection->batch);
    free(projection);
}

const struct projection_place *projection_place(const struct projection *projection)
{
    return &projection->place;
}

// Notes who is told about the operation that is to start.
static void begin(struct projection *projection, projection_done done, void *ctx)
{
    assert(!projection->busy);
    projection->busy = true;
    projection->done = done;
    projection->ctx = ctx;
}

// What pg_run returned: nothing is under way after a refusal.
static enum rc started(struct projection *projection, enum rc rc)
{
    if (rc != RC_OK)
        projection->busy = false;
    return rc;
}

static void finish(struct projection *projection, enum rc rc)
{
    projection->busy = false;
    projection->done(projection->ctx, rc);
}

static void on_locked(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    if (rc == RC_OK && !pg_get_bool(results[0], 0, 0))
        rc = RC_CONFLICT;
    finish(ctx, rc);
}

enum rc projection_lock(struct projection *projection, projection_done done, void *ctx)
{
    const struct pg_param params[] = {pg_int4(LOCK_CLASS), pg_int4(projection->shard)};

    begin(projection, done, ctx);
    return started(projection,
                   pg_query(projection->pg, &lock_statement, params, 2, on_locked, projection));
}

static void take_place(struct projection *projection, const struct pg_result *row)
{
    projection->place = (struct projection_place){0};
    if (pg_rows(row) == 0)
        return;
    projection->place.epoch = (int32_t)pg_get_int(row, 0, 0);
    projection->place.last_seq = (uint64_t)pg_get_int(row, 0, 1);
    projection->place.has_event = !pg_is_null(row, 0, 2);
    projection->place.last_event_id = pg_get_uuid(row, 0, 2);
    projection->place.stream_created_us = pg_get_timestamp_us(row, 0, 3);
}

static void on_loaded(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    if (rc == RC_OK)
        take_place(projection, results[0]);
    finish(projection, rc);
}

static void on_begun(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    if (rc == RC_OK)
        take_place(projection, results[1]);
    finish(projection, rc);
}

enum rc projection_load(struct projection *projection, projection_done done, void *ctx)
{
    const struct pg_param shard = pg_int4(projection->shard);

    begin(projection, done, ctx);
    return started(projection,
                   pg_query(projection->pg, &load_statement, &shard, 1, on_loaded, projection));
}

static struct pg_param payload_of(char text[PAYLOAD_BYTES], int32_t shard, int32_t epoch,
                                  uint64_t last_seq)
{
    int len =
        snprintf(text, PAYLOAD_BYTES, "%" PRId32 " %" PRId32 " %" PRIu64, shard, epoch, last_seq);

    assert(len > 0 && len < PAYLOAD_BYTES);
    return pg_text(text, (size_t)len);
}

enum rc projection_begin_epoch(struct projection *projection, int64_t stream_created_us,
                               uint64_t fork_seq, const char *reason, projection_done done,
                               void *ctx)
{
    const struct pg_param params[] = {
        pg_int4(projection->shard),        pg_int4(projection->place.epoch),
        pg_timestamptz(stream_created_us), pg_int8((int64_t)fork_seq),
        pg_text(reason, strlen(reason)),
    };
    char text[PAYLOAD_BYTES];
    const struct pg_param payload =
        payload_of(text, projection->shard, projection->place.epoch + 1, fork_seq);
    const struct pg_step steps[] = {
        {&begin_epoch_statement, params,   5},
        {&load_statement,        params,   1},
        {&notify_statement,      &payload, 1},
    };

    log_write(projection->place.epoch == 0 ? LOG_INFO : LOG_WARN, "projection.epoch",
              "shard=%" PRId32 " after=%" PRId32 " fork_seq=%" PRIu64 " reason=\"%s\"",
              projection->shard, projection->place.epoch, fork_seq, reason);
    begin(projection, done, ctx);
    return started(projection, pg_run(projection->pg, PG_WRITE, steps, 3, on_begun, projection));
}

static void on_event(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;
    struct uuid event_id = {{0}};

    if (rc == RC_OK && pg_rows(results[0]) == 0)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK)
        event_id = pg_get_uuid(results[0], 0, 0);
    projection->busy = false;
    projection->event_done(projection->ctx, rc, rc == RC_OK ? &event_id : NULL);
}

enum rc projection_event_at(struct projection *projection, uint64_t sequence,
                            projection_event_done done, void *ctx)
{
    const struct pg_param params[] = {pg_int4(projection->shard), pg_int8((int64_t)sequence)};

    begin(projection, NULL, ctx);
    projection->event_done = done;
    return started(projection,
                   pg_query(projection->pg, &event_at_statement, params, 2, on_event, projection));
}

static bool knows_month(const struct projection *projection, int month)
{
    for (size_t i = 0; i < projection->month_count; i++) {
        if (projection->months[i] == month)
            return true;
    }
    return false;
}

// Months of the batch that need a partition, and the month after each, so that it is there before
// the first record of that month.
static void collect_months(struct projection *projection, struct pg_array *months)
{
    struct batch *batch = &projection->batch;
    size_t count = 0;

    for (size_t i = 0; i < batch->month_count; i++) {
        if (knows_month(projection, batch->months[i]))
            continue;
        pg_array_append(months, pg_int8(batch->months[i]));
        pg_array_append(months, pg_int8(batch->months[i] + 1));
        batch->months[count++] = batch->months[i];
    }
    projection->new_month_count = count;
}

static void on_written(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    if (rc == RC_OK && pg_rows(results[STEP_GUARD]) == 0)
        rc = RC_CONFLICT;
    if (rc == RC_OK) {
        for (size_t i = 0; i < projection->new_month_count; i++) {
            if (projection->month_count < MONTHS_KNOWN)
                projection->months[projection->month_count++] = projection->batch.months[i];
        }
        // Another writer may be further: then the place was, and stays, behind this batch.
        if (pg_affected(results[STEP_ADVANCE]) == 1)
            projection->place = projection->next;
    }
    finish(projection, rc);
}

// The arrays behind the first two parameters, shard and epoch.
static enum rc columns(struct pg_param *params, const struct projection *projection,
                       struct pg_array *arrays, size_t count)
{
    params[0] = pg_int4(projection->shard);
    params[1] = pg_int4(projection->place.epoch);
    for (size_t i = 0; i < count; i++) {
        enum rc rc = pg_array_param(&arrays[i], &params[2 + i]);

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc projection_write(struct projection *projection, const struct projection_item *items,
                         size_t count, projection_done done, void *ctx)
{
    struct batch *batch = &projection->batch;
    struct pg_param events[2 + EVENT_COLUMNS];
    struct pg_param packets[2 + PACKET_COLUMNS];
    struct pg_param advance[4];
    struct pg_param month_param;
    struct pg_param payload;
    struct pg_array months;
    char text[PAYLOAD_BYTES];
    enum rc rc;

    assert(!projection->busy && projection->place.epoch > 0);
    batch_fill(batch, items, count);
    pg_array_init(&months, PG_INT8);
    collect_months(projection, &months);
    projection->next = projection->place;
    projection->next.last_seq = batch->last_seq;
    projection->next.last_event_id = batch->last_event_id;
    projection->next.has_event = true;

    rc = columns(events, projection, batch->events, EVENT_COLUMNS);
    if (rc == RC_OK)
        rc = columns(packets, projection, batch->packets, PACKET_COLUMNS);
    if (rc == RC_OK)
        rc = pg_array_param(&months, &month_param);
    if (rc == RC_OK) {
        payload = payload_of(text, projection->shard, projection->place.epoch, batch->last_seq);
        memcpy(advance, events, 2 * sizeof advance[0]);
        advance[2] = pg_int8((int64_t)batch->last_seq);
        advance[3] = pg_uuid(&batch->last_event_id);

        const struct pg_step steps[STEPS] = {
            [STEP_GUARD] = {&guard_statement,   events,       2                 },
            [STEP_MONTHS] = {&months_statement,  &month_param, 1                 },
            [STEP_EVENTS] = {&events_statement,  events,       2 + EVENT_COLUMNS },
            [STEP_PACKETS] = {&packets_statement, packets,      2 + PACKET_COLUMNS},
            [STEP_ADVANCE] = {&advance_statement, advance,      4                 },
            [STEP_NOTIFY] = {&notify_statement,  &payload,     1                 },
        };
        begin(projection, done, ctx);
        rc = started(projection,
                     pg_run(projection->pg, PG_WRITE, steps, STEPS, on_written, projection));
    }
    pg_array_fini(&months);
    return rc;
}
