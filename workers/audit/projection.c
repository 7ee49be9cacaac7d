// The statements of the projection, and the one operation under way.
#include "workers/audit/projection.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "workers/audit/batch.h"
#include "workers/audit/hash_chain.h"

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
    struct words_memory *words;
    struct chains *chains;    // owned
    struct pg_array missing;  // tenants of the batch whose chains have to be read first
    int months[MONTHS_KNOWN]; // whose partitions were made; beyond that they are asked for again
    size_t month_count;
    size_t new_month_count; // of batch.months, moved to the front: made by the write under way

    bool busy;
    projection_done done;
    projection_event_done event_done;
    projection_known_done known_done;
    bool *known; // of the items asked about
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
    "SELECT event_id FROM packet_events WHERE shard = $1 AND seq = $2 AND part = 0"
    " ORDER BY epoch DESC LIMIT 1",
};

static const struct pg_statement known_statement = {
    "projector_known",
    "SELECT DISTINCT u.item FROM unnest($1, $2, $3) WITH ORDINALITY"
    " AS u (tenant, packet_id, event_id, item) JOIN packet_events e"
    " ON e.tenant = u.tenant AND e.packet_id = u.packet_id AND e.event_id = u.event_id",
};

static const struct pg_statement notify_statement = {
    "projector_notify",
    "SELECT pg_notify('" PROJECTION_CHANNEL "', $1)",
};

static const struct pg_statement chains_statement = {
    "projector_chains",
    "SELECT " CHAINS_COLUMNS " FROM audit_chains WHERE shard = $1 AND tenant = ANY($2)",
};

// A write is these, in this order. The first keeps every other writer out until the commit, and
// refuses everything unless the place and the chains are where this writer takes them to be.
static const struct pg_statement guard_statement = {
    "projector_guard",
    "SELECT projector_guard($1, $2, $3, $4, $5, $6)",
};

static const struct pg_statement months_statement = {
    "projector_months",
    "SELECT packet_events_make_month(make_timestamptz((m / 12)::integer, (m % 12)::integer + 1, 1,"
    " 0, 0, 0, 'UTC')) FROM unnest($1) AS m",
};

static const struct pg_statement events_statement = {
    "projector_events",
    "WITH incoming AS (SELECT u.* FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
    " $15, $16, $17) AS u (seq, at, event_id, packet_id, tenant, type, actor, key_id, details,"
    " record, part, asks, number, mac_key, mac)),"
    " stored AS ("
    "INSERT INTO packet_events (shard, epoch, seq, at, event_id, packet_id, tenant, type, actor,"
    " key_id, details, record, part, number, mac_key, mac)"
    " SELECT $1, $2, seq, at, event_id, packet_id, tenant, type, actor, key_id, details, record,"
    " part, number, mac_key, mac FROM incoming)"
    " INSERT INTO event_counts AS c (tenant, type, shard, n, asked)"
    " SELECT tenant, type, $1, count(*), count(*) FILTER (WHERE asks) FROM incoming"
    " GROUP BY tenant, type ON CONFLICT (tenant, type, shard) DO UPDATE"
    " SET n = c.n + excluded.n, asked = c.asked + excluded.asked",
};

static const struct pg_statement moved_statement = {
    "projector_chains_moved",
    "INSERT INTO audit_chains AS c (shard, epoch, tenant, number, seq, part, mac_key, mac)"
    " SELECT $1, $2, u.* FROM unnest($3, $4, $5, $6, $7, $8)"
    " AS u (tenant, number, seq, part, mac_key, mac)"
    " ON CONFLICT (tenant, shard) DO UPDATE SET epoch = excluded.epoch, number = excluded.number,"
    " seq = excluded.seq, part = excluded.part, mac_key = excluded.mac_key, mac = excluded.mac",
};

// The counts move by what the packets are now, less what they were. No part of a statement sees
// what another part of it does, so "earlier" is the state before.
#define COUNTED "tenant, status, created_at, source_agent, target_agent, claim_us, complete_us"
#define ACTIVE "('claimed', 'in_progress', 'awaiting_human')"

static const struct pg_statement packets_statement = {
    "projector_packets",
    "WITH incoming AS (SELECT u.*"
    " FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    " AS u (seq, created_at, updated_at, id, tenant, status, priority, source_agent, target_agent,"
    " tags, packet, parent_id, due_at, approvers, claim_us, complete_us)),"
    " earlier AS (SELECT p.tenant, p.status, p.created_at, p.source_agent, p.target_agent,"
    " p.claim_us, p.complete_us FROM incoming i"
    " JOIN packets p ON p.tenant = i.tenant AND p.id = i.id"
    " WHERE (p.epoch, p.seq) < ($2, i.seq)),"
    " stored AS ("
    "INSERT INTO packets AS p (shard, epoch, seq, created_at, updated_at, id, tenant, status,"
    " priority, source_agent, target_agent, tags, packet, parent_id, due_at, approvers, claim_us,"
    " complete_us)"
    " SELECT $1, $2, u.seq, u.created_at, u.updated_at, u.id, u.tenant, u.status, u.priority,"
    " u.source_agent, u.target_agent, u.tags::text[], u.packet, u.parent_id, u.due_at,"
    " u.approvers::bigint[], u.claim_us, u.complete_us FROM incoming u"
    " ON CONFLICT (tenant, id) DO UPDATE SET"
    " shard = excluded.shard, epoch = excluded.epoch, seq = excluded.seq,"
    " created_at = excluded.created_at, updated_at = excluded.updated_at,"
    " status = excluded.status, priority = excluded.priority,"
    " source_agent = excluded.source_agent, target_agent = excluded.target_agent,"
    " tags = excluded.tags, packet = excluded.packet, parent_id = excluded.parent_id,"
    " due_at = excluded.due_at, approvers = excluded.approvers, claim_us = excluded.claim_us,"
    " complete_us = excluded.complete_us"
    " WHERE (p.epoch, p.seq) < (excluded.epoch, excluded.seq)"
    " RETURNING " COUNTED "),"
    " moved AS (SELECT *, 1 AS d FROM stored UNION ALL SELECT *, -1 FROM earlier),"
    " counted AS (INSERT INTO packet_counts AS c"
    " (tenant, status, shard, n, claims, claim_us, completions, complete_us)"
    " SELECT tenant, status, $1, sum(d), sum(d * (claim_us IS NOT NULL)::integer),"
    " coalesce(sum(d * claim_us), 0), sum(d * (complete_us IS NOT NULL)::integer),"
    " coalesce(sum(d * complete_us), 0) FROM moved GROUP BY tenant, status"
    " HAVING sum(d) <> 0 OR sum(d) FILTER (WHERE claim_us IS NOT NULL) <> 0"
    " OR sum(d) FILTER (WHERE complete_us IS NOT NULL) <> 0"
    " OR sum(d * claim_us) <> 0 OR sum(d * complete_us) <> 0"
    " ON CONFLICT (tenant, status, shard) DO UPDATE SET n = c.n + excluded.n,"
    " claims = c.claims + excluded.claims, claim_us = c.claim_us + excluded.claim_us,"
    " completions = c.completions + excluded.completions,"
    " complete_us = c.complete_us + excluded.complete_us),"
    " hours AS (INSERT INTO packet_hours AS h (tenant, hour, shard, n)"
    " SELECT tenant, date_trunc('hour', created_at, 'UTC'), $1, sum(d) FROM moved"
    " GROUP BY 1, 2 HAVING sum(d) <> 0"
    " ON CONFLICT (tenant, hour, shard) DO UPDATE SET n = h.n + excluded.n)"
    " INSERT INTO agent_counts AS a (tenant, agent, shard, n, active)"
    " SELECT tenant, agent, $1, sum(d), sum(active) FROM ("
    "SELECT tenant, source_agent AS agent, d, 0 AS active FROM moved UNION ALL"
    " SELECT tenant, target_agent, d, d * (status IN " ACTIVE ")::integer FROM moved) AS involved"
    " GROUP BY tenant, agent HAVING sum(d) <> 0 OR sum(active) <> 0"
    " ON CONFLICT (tenant, agent, shard) DO UPDATE SET n = a.n + excluded.n,"
    " active = a.active + excluded.active",
};

// Only texts that differ are made words of: that is what costs.
static const struct pg_statement texts_statement = {
    "projector_texts",
    "INSERT INTO packet_texts AS t (epoch, seq, id, tenant, digest, words)"
    " SELECT $2, u.seq, u.id, u.tenant, u.digest, packet_search(u.title, u.reasons, u.talk)"
    " FROM unnest($3, $4, $5, $6, $7, $8, $9) AS u (seq, id, tenant, digest, title, reasons, talk)"
    " WHERE NOT EXISTS (SELECT FROM packet_texts e WHERE e.tenant = u.tenant AND e.id = u.id"
    " AND (e.digest = u.digest OR (e.epoch, e.seq) >= ($2, u.seq)))"
    " ON CONFLICT (tenant, id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,"
    " digest = excluded.digest, words = excluded.words"
    " WHERE (t.epoch, t.seq) < (excluded.epoch, excluded.seq)",
};

static const struct pg_statement advance_statement = {
    "projector_advance",
    "UPDATE projector SET last_seq = $3, last_event_id = $4, updated_at = now()"
    " WHERE shard = $1 AND epoch = $2",
};

enum {
    STEP_GUARD,
    STEP_MONTHS,
    STEP_EVENTS,
    STEP_MOVED,
    STEP_PACKETS,
    STEP_TEXTS,
    STEP_ADVANCE,
    STEP_NOTIFY,
    STEPS
};

struct projection *projection_create(struct pg *pg, int32_t shard, const struct keyring *ring)
{
    struct projection *projection = calloc(1, sizeof *projection);

    if (projection == NULL)
        abort();
    projection->pg = pg;
    projection->shard = shard;
    projection->words = words_memory_create();
    batch_init(&projection->batch, projection->words);
    projection->chains = chains_create(ring, shard);
    pg_array_init(&projection->missing, PG_TEXT);
    return projection;
}

void projection_destroy(struct projection *projection)
{
    if (projection == NULL)
        return;
    batch_fini(&projection->batch);
    words_memory_destroy(projection->words);
    free(projection->known);
    chains_destroy(projection->chains);
    pg_array_fini(&projection->missing);
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

    chains_forget(projection->chains);
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

static void on_known_items(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;
    bool *known = projection->known;

    for (int row = 0; rc == RC_OK && row < pg_rows(results[0]); row++)
        known[pg_get_int(results[0], row, 0) - 1] = true;
    projection->busy = false;
    projection->known = NULL;
    projection->known_done(projection->ctx, rc, known);
    free(known);
}

enum rc projection_known(struct projection *projection, const struct projection_item *items,
                         size_t count, projection_known_done done, void *ctx)
{
    static const enum pg_type types[] = {PG_TEXT, PG_UUID, PG_UUID};
    struct pg_array arrays[3];
    struct pg_param params[3];
    enum rc rc = RC_OK;

    begin(projection, NULL, ctx);
    projection->known_done = done;
    projection->known = calloc(count, sizeof *projection->known);
    if (projection->known == NULL)
        abort();
    for (size_t i = 0; i < 3; i++)
        pg_array_init(&arrays[i], types[i]);
    for (size_t i = 0; i < count; i++) {
        struct uuid packet_id = {{0}};
        struct uuid event_id = {{0}}; // of no event

        batch_ids(&items[i], &packet_id, &event_id);
        pg_array_append(&arrays[0], pg_text(items[i].tenant.data, items[i].tenant.len));
        pg_array_append(&arrays[1], pg_uuid(&packet_id));
        pg_array_append(&arrays[2], pg_uuid(&event_id));
    }
    for (size_t i = 0; i < 3 && rc == RC_OK; i++)
        rc = pg_array_param(&arrays[i], &params[i]);
    if (rc == RC_OK)
        rc = pg_query(projection->pg, &known_statement, params, 3, on_known_items, projection);
    for (size_t i = 0; i < 3; i++)
        pg_array_fini(&arrays[i]);
    if (rc != RC_OK) {
        free(projection->known);
        projection->known = NULL;
    }
    return started(projection, rc);
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

// --- writing -------------------------------------------------------------------------------------

static void on_written(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    (void)results;
    if (rc == RC_OK) {
        for (size_t i = 0; i < projection->new_month_count; i++) {
            if (projection->month_count < MONTHS_KNOWN)
                projection->months[projection->month_count++] = projection->batch.months[i];
        }
        for (size_t i = 0; i < projection->batch.learned_count; i++)
            words_learn(projection->words, &projection->batch.learned[i].packet_id,
                        projection->batch.learned[i].digest);
        chains_commit(projection->chains);
        projection->place = projection->next;
    } else {
        words_forget_all(projection->words);
        chains_forget(projection->chains);
    }
    finish(projection, rc);
}

// The arrays as parameters.
static enum rc columns(struct pg_param *params, struct pg_array *arrays, size_t count)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < count && rc == RC_OK; i++)
        rc = pg_array_param(&arrays[i], &params[i]);
    return rc;
}

#define OWN 2 // the first parameters: shard and epoch

// The parameters of a write.
struct write {
    struct pg_param guard[OWN + 1 + 3];
    struct pg_param months;
    struct pg_param events[OWN + EVENT_COLUMNS];
    struct pg_param moved[OWN + MOVED_COLUMNS]; // the two old columns are the guard's
    struct pg_param packets[OWN + PACKET_COLUMNS];
    struct pg_param texts[OWN + TEXT_COLUMNS];
    struct pg_param advance[OWN + 2];
    struct pg_param payload;
    char text[PAYLOAD_BYTES];
};

static enum rc fill_write(struct write *write, struct projection *projection,
                          struct pg_array *months)
{
    const struct projection_place *place = &projection->place;
    const struct projection_place *next = &projection->next;
    const struct pg_param own[OWN] = {pg_int4(projection->shard), pg_int4(place->epoch)};
    const struct pg_array *sealed =
        chains_seal(projection->chains, &projection->batch, place->epoch);
    struct pg_array chains[MOVED_COLUMNS]; // headers are written into the shared bytes
    struct pg_param *own_places[] = {write->guard,   write->events, write->moved,
                                     write->packets, write->texts,  write->advance};
    enum rc rc;

    memcpy(chains, sealed, sizeof chains);
    for (size_t i = 0; i < sizeof own_places / sizeof own_places[0]; i++)
        memcpy(own_places[i], own, sizeof own);
    write->guard[OWN] = pg_int8((int64_t)place->last_seq);
    write->advance[OWN] = pg_int8((int64_t)next->last_seq);
    write->advance[OWN + 1] = pg_uuid(&next->last_event_id);
    write->payload = payload_of(write->text, projection->shard, place->epoch, next->last_seq);
    rc = columns(write->guard + OWN + 1, chains, 3); // tenants, old numbers, old macs
    if (rc == RC_OK)
        rc = columns(write->moved + OWN, chains, 1);
    if (rc == RC_OK)
        rc = columns(write->moved + OWN + 1, chains + MOVED_NUMBER, MOVED_COLUMNS - MOVED_NUMBER);
    if (rc == RC_OK)
        rc = columns(write->events + OWN, projection->batch.events, EVENT_COLUMNS);
    if (rc == RC_OK)
        rc = columns(write->packets + OWN, projection->batch.packets, PACKET_COLUMNS);
    if (rc == RC_OK)
        rc = columns(write->texts + OWN, projection->batch.texts, TEXT_COLUMNS);
    if (rc == RC_OK)
        rc = columns(&write->months, months, 1);
    return rc;
}

static enum rc send_write(struct projection *projection)
{
    struct pg_array months;
    struct write write;
    enum rc rc;

    pg_array_init(&months, PG_INT8);
    collect_months(projection, &months);
    rc = fill_write(&write, projection, &months);
    if (rc == RC_OK) {
        const struct pg_step steps[STEPS] = {
            [STEP_GUARD] = {&guard_statement,   write.guard,    OWN + 1 + 3            },
            [STEP_MONTHS] = {&months_statement,  &write.months,  1                      },
            [STEP_EVENTS] = {&events_statement,  write.events,   OWN + EVENT_COLUMNS    },
            [STEP_MOVED] = {&moved_statement,   write.moved,    OWN + MOVED_COLUMNS - 2},
            [STEP_PACKETS] = {&packets_statement, write.packets,  OWN + PACKET_COLUMNS   },
            [STEP_TEXTS] = {&texts_statement,   write.texts,    OWN + TEXT_COLUMNS     },
            [STEP_ADVANCE] = {&advance_statement, write.advance,  OWN + 2                },
            [STEP_NOTIFY] = {&notify_statement,  &write.payload, 1                      },
        };

        rc = pg_run(projection->pg, PG_WRITE, steps, STEPS, on_written, projection);
    }
    if (rc != RC_OK)
        chains_forget(projection->chains);
    pg_array_fini(&months);
    return rc;
}

static void on_chains(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    if (rc == RC_OK) {
        chains_learn(projection->chains, &projection->missing, results[0]);
        rc = send_write(projection);
    }
    if (rc != RC_OK)
        finish(projection, rc);
}

static enum rc read_chains(struct projection *projection)
{
    struct pg_param params[] = {pg_int4(projection->shard), pg_null(PG_TEXT)};
    enum rc rc = pg_array_param(&projection->missing, &params[1]);

    if (rc != RC_OK)
        return rc;
    return pg_query(projection->pg, &chains_statement, params, 2, on_chains, projection);
}

static void on_known(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct projection *projection = ctx;

    if (rc == RC_OK &&
        (pg_rows(results[0]) == 0 || pg_get_int(results[0], 0, 0) != projection->place.epoch))
        rc = RC_CONFLICT;
    finish(projection, rc);
}

// A batch that is stored already: only whether the epoch is still ours is of interest.
static enum rc check_epoch(struct projection *projection)
{
    const struct pg_param shard = pg_int4(projection->shard);

    return pg_query(projection->pg, &load_statement, &shard, 1, on_known, projection);
}

enum rc projection_write(struct projection *projection, const struct projection_item *items,
                         size_t count, projection_done done, void *ctx)
{
    struct batch *batch = &projection->batch;
    struct pg_param params[EVENT_NUMBER];
    enum rc rc;

    assert(!projection->busy && projection->place.epoch > 0);
    while (count > 0 && items->sequence <= projection->place.last_seq) {
        items++;
        count--;
    }
    begin(projection, done, ctx);
    if (count == 0)
        return started(projection, check_epoch(projection));
    batch_fill(batch, items, count);
    projection->next = projection->place;
    projection->next.last_seq = batch->last_seq;
    projection->next.last_event_id = batch->last_event_id;
    projection->next.has_event = true;
    rc = columns(params, batch->events, EVENT_NUMBER); // are all whole?
    if (rc != RC_OK)
        return started(projection, rc);
    chains_missing(projection->chains, batch, &projection->missing);
    if (projection->missing.count > 0)
        return started(projection, read_chains(projection));
    return started(projection, send_write(projection));
}
