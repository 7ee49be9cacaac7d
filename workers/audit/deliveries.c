// AWAY -> LOCKING -> LOADING -> FOLLOWING; whatever goes wrong waits and starts again at LOCKING.
#include "workers/audit/deliveries.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/message/wire.h"
#include "broker/nats/consume.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"
#include "broker/sql/column.h"
#include "broker/sql/pg.h"
#include "workers/audit/prune.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 500
#define AGAIN_MS 1000
#define LINGER_MS 50 // so that a busy stream is written in larger batches
#define WRITE_TIMEOUT_MS 30000
#define ARENA_BYTES (256 * 1024)
#define LOCK_CLASS 0x4852 // as in projection.c, where the other half is a shard
#define LOCK_OBJECT 100000

enum column {
    COL_SEQ,
    COL_CREATED,
    COL_UPDATED,
    COL_TOOK,
    COL_ID,
    COL_HOOK,
    COL_ATTEMPTS,
    COL_TENANT,
    COL_STATUS,
    COL_DELIVERY,
    COL_RECORD,
    COLUMNS,
};

static const enum pg_type types[COLUMNS] = {
    PG_INT8, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_INT8,  PG_UUID,  PG_UUID,
    PG_INT8, PG_TEXT,        PG_TEXT,        PG_BYTEA, PG_BYTEA,
};

struct deliveries {
    struct run *run;
    struct pg *pg;
    struct prune *prune;
    struct consumer_config config;
    struct consumer *consumer; // NULL unless it follows
    uv_timer_t again;
    uv_timer_t linger;
    struct arena *arena; // of the batch that is being filled
    struct pg_array columns[COLUMNS];
    uint32_t count; // of the batch
    uint32_t written;
    uint64_t batch_seq; // of its last record
    uint64_t next_seq;  // where the write under way leads
    int32_t epoch;
    uint64_t last_seq;
    bool up;
    bool busy; // a statement is under way
    bool closed;
    struct metric *stored;
};

static const struct pg_statement lock_statement = {
    "deliveries_lock",
    // Not before the schema has what the others need: the follower of packets brings it up to date.
    "SELECT CASE WHEN to_regclass('webhook_projector') IS NULL THEN false"
    " ELSE pg_try_advisory_lock($1, $2) END",
};

static const struct pg_statement load_statement = {
    "deliveries_load",
    "SELECT epoch, last_seq FROM webhook_projector",
};

static const struct pg_statement move_statement = {
    "deliveries_move",
    "SELECT webhook_projector_move($1, $2, $3, $4)",
};

static const struct pg_statement write_statement = {
    "deliveries_write",
    "INSERT INTO webhook_deliveries AS d (epoch, seq, created_at, updated_at, took_us, id, hook_id,"
    " attempts, tenant, status, delivery, record)"
    " SELECT DISTINCT ON (tenant, hook_id, id) $1, u.* FROM"
    " unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    " AS u (seq, created_at, updated_at, took_us, id, hook_id, attempts, tenant, status, delivery,"
    " record) ORDER BY tenant, hook_id, id, seq DESC"
    " ON CONFLICT (tenant, hook_id, id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,"
    " created_at = excluded.created_at, updated_at = excluded.updated_at,"
    " took_us = excluded.took_us, attempts = excluded.attempts, status = excluded.status,"
    " delivery = excluded.delivery, record = excluded.record"
    " WHERE (d.epoch, d.seq) < (excluded.epoch, excluded.seq)",
};

static void write_batch(struct deliveries *deliveries);
static void start(struct deliveries *deliveries);

static void batch_reset(struct deliveries *deliveries)
{
    arena_reset(deliveries->arena);
    for (size_t i = 0; i < COLUMNS; i++)
        pg_array_reset(&deliveries->columns[i]);
    deliveries->count = 0;
}

static void on_again(uv_timer_t *timer)
{
    start(timer->data);
}

static void again(struct deliveries *deliveries)
{
    consumer_close(deliveries->consumer);
    deliveries->consumer = NULL;
    uv_timer_stop(&deliveries->linger);
    prune_pause(deliveries->prune);
    batch_reset(deliveries);
    if (deliveries->up && !deliveries->closed)
        uv_timer_start(&deliveries->again, on_again, AGAIN_MS, 0);
}

// --- following -----------------------------------------------------------------------------------

static bool is_uuid(Text text, struct uuid *uuid)
{
    return uuid_parse((const char *)text.data, text.len, uuid) == NULL;
}

// hr.v1.delivery.<partition>.<tenant>.<...>
static Text tenant_of(struct arena *arena, const char *subject)
{
    for (int dots = 0; dots < 4 && subject != NULL; dots++) {
        subject = strchr(subject, '.');
        subject += subject != NULL;
    }
    return subject != NULL ? text_copy(arena, subject, strcspn(subject, ".")) : text_of("");
}

static void add(struct deliveries *deliveries, struct msg *msg, uint64_t sequence)
{
    struct arena *arena = deliveries->arena;
    struct pg_array *columns = deliveries->columns;
    ProtobufCMessage *message = NULL;
    const Hr__DeliveryRecord *record;
    const Hr__Delivery *delivery;
    Text tenant = tenant_of(arena, msg_subject(msg));
    Text bytes = text_copy(arena, msg_data(msg), msg_len(msg));
    Text packed;
    struct uuid id;
    struct uuid hook_id;

    if (wire_unpack(&message, arena, &hr__delivery_record__descriptor, bytes.data, bytes.len) !=
            RC_OK ||
        ((const Hr__DeliveryRecord *)message)->delivery == NULL ||
        !is_uuid(((const Hr__DeliveryRecord *)message)->delivery->id, &id) ||
        !is_uuid(((const Hr__DeliveryRecord *)message)->delivery->webhook_id, &hook_id)) {
        log_error("deliveries.unreadable", "sequence=%" PRIu64, sequence);
        return;
    }
    record = (const Hr__DeliveryRecord *)message;
    delivery = record->delivery;
    packed = wire_pack(arena, &delivery->base);
    pg_array_append(&columns[COL_SEQ], pg_int8((int64_t)sequence));
    pg_array_append(&columns[COL_CREATED], pg_timestamptz(wire_timestamp_us(delivery->created_at)));
    pg_array_append(&columns[COL_UPDATED], pg_timestamptz(wire_timestamp_us(delivery->updated_at)));
    pg_array_append(&columns[COL_TOOK], pg_int8(record->took_us));
    pg_array_append(&columns[COL_ID], pg_uuid(&id));
    pg_array_append(&columns[COL_HOOK], pg_uuid(&hook_id));
    pg_array_append(&columns[COL_ATTEMPTS], pg_int8(delivery->attempts));
    pg_array_append(&columns[COL_TENANT], column_key(arena, tenant.data, tenant.len));
    pg_array_append(&columns[COL_STATUS],
                    column_key(arena, delivery->status.data, delivery->status.len));
    pg_array_append(&columns[COL_DELIVERY], pg_bytea(packed.data, packed.len));
    pg_array_append(&columns[COL_RECORD], pg_bytea(bytes.data, bytes.len));
}

static void on_linger(uv_timer_t *timer)
{
    write_batch(timer->data);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct deliveries *deliveries = ctx;

    add(deliveries, msg, delivery->sequence);
    deliveries->batch_seq = delivery->sequence;
    deliveries->count++;
    if (!uv_is_active((const uv_handle_t *)&deliveries->linger))
        uv_timer_start(&deliveries->linger, on_linger, LINGER_MS, 0);
}

static void on_written(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct deliveries *deliveries = ctx;

    (void)results;
    deliveries->busy = false;
    if (deliveries->closed)
        return;
    if (rc != RC_OK || deliveries->consumer == NULL) {
        again(deliveries);
        return;
    }
    metric_add(deliveries->stored, "", deliveries->written);
    deliveries->last_seq = deliveries->next_seq;
    consumer_release(deliveries->consumer, deliveries->written);
    if (deliveries->consumer != NULL && deliveries->count > 0)
        write_batch(deliveries);
}

static enum rc send_batch(struct deliveries *deliveries)
{
    const struct pg_param move[] = {
        pg_int4(deliveries->epoch), pg_int8((int64_t)deliveries->last_seq),
        pg_int4(deliveries->epoch), pg_int8((int64_t)deliveries->batch_seq)};
    struct pg_param rows[COLUMNS + 1] = {pg_int4(deliveries->epoch)};
    const struct pg_step steps[] = {
        {&move_statement,  move, 4          },
        {&write_statement, rows, COLUMNS + 1},
    };
    enum rc rc = RC_OK;

    for (size_t i = 0; i < COLUMNS && rc == RC_OK; i++)
        rc = pg_array_param(&deliveries->columns[i], &rows[i + 1]);
    if (rc != RC_OK)
        return rc;
    return pg_run(deliveries->pg, PG_WRITE, steps, 2, on_written, deliveries);
}

static void write_batch(struct deliveries *deliveries)
{
    if (deliveries->busy || deliveries->count == 0 || deliveries->consumer == NULL)
        return;
    deliveries->next_seq = deliveries->batch_seq;
    deliveries->written = deliveries->count;
    if (send_batch(deliveries) != RC_OK) {
        again(deliveries);
        return;
    }
    deliveries->busy = true;
    batch_reset(deliveries); // pg_run has copied what it needs, or sent it
}

// --- beginning -----------------------------------------------------------------------------------

static void follow(struct deliveries *deliveries)
{
    struct run *run = deliveries->run;

    deliveries->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = STREAM_DELIVERIES,
        .filter = SUBJECT_DELIVERIES,
        .durable = "deliveries",
        .from = CONSUME_AFTER,
        .start_after = deliveries->last_seq,
        .window = WINDOW,
        .on_message = on_message,
        .ctx = deliveries,
    };
    deliveries->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &deliveries->config);
    prune_begin(deliveries->prune);
}

static void on_rewound(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct deliveries *deliveries = ctx;

    (void)results;
    deliveries->busy = false;
    if (!deliveries->closed) // loads the new place
        again(deliveries);
    if (rc == RC_OK)
        log_warn("deliveries.rewound", "reason=\"the stream is shorter than it was\"");
}

// A stream that is shorter than what was read of it has begun again, or lost its end.
static void on_end(void *ctx, enum rc rc, uint64_t end)
{
    struct deliveries *deliveries = ctx;
    const struct pg_param move[] = {pg_int4(deliveries->epoch),
                                    pg_int8((int64_t)deliveries->last_seq),
                                    pg_int4(deliveries->epoch + 1), pg_int8(0)};

    if (rc == RC_CLOSED || deliveries->closed || !deliveries->up)
        return;
    if (rc == RC_OK && end >= deliveries->last_seq)
        follow(deliveries);
    else if (rc == RC_OK && !deliveries->busy &&
             pg_query(deliveries->pg, &move_statement, move, 4, on_rewound, deliveries) == RC_OK)
        deliveries->busy = true;
    else
        again(deliveries);
}

static void on_loaded(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct deliveries *deliveries = ctx;
    struct run *run = deliveries->run;

    deliveries->busy = false;
    if (deliveries->closed)
        return;
    if (rc != RC_OK || pg_rows(results[0]) != 1) {
        again(deliveries);
        return;
    }
    deliveries->epoch = (int32_t)pg_get_int(results[0], 0, 0);
    deliveries->last_seq = (uint64_t)pg_get_int(results[0], 0, 1);
    entry_end(run_requests(run), run_name(run), STREAM_DELIVERIES, on_end, deliveries);
}

static void on_locked(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct deliveries *deliveries = ctx;

    deliveries->busy = false;
    if (deliveries->closed)
        return;
    if (rc == RC_OK && pg_get_bool(results[0], 0, 0) &&
        pg_query(deliveries->pg, &load_statement, NULL, 0, on_loaded, deliveries) == RC_OK)
        deliveries->busy = true;
    else
        again(deliveries); // another process has it
}

static void start(struct deliveries *deliveries)
{
    const struct pg_param params[] = {pg_int4(LOCK_CLASS), pg_int4(LOCK_OBJECT)};

    if (deliveries->busy || !deliveries->up || deliveries->consumer != NULL) {
        if (deliveries->busy)
            uv_timer_start(&deliveries->again, on_again, AGAIN_MS, 0);
        return;
    }
    if (pg_query(deliveries->pg, &lock_statement, params, 2, on_locked, deliveries) == RC_OK)
        deliveries->busy = true;
    else
        again(deliveries);
}

static void on_pg_state(void *ctx, bool up)
{
    struct deliveries *deliveries = ctx;

    deliveries->up = up;
    if (deliveries->closed)
        return;
    if (up)
        start(deliveries);
    else
        again(deliveries);
}

enum rc deliveries_open(struct deliveries **out, struct run *run, const char *postgres_url,
                        int64_t days)
{
    struct deliveries *deliveries = calloc(1, sizeof *deliveries);
    const struct pg_options options = {
        .conninfo = postgres_url,
        .application = run_name(run),
        .connections = 1,
        .timeout_ms = WRITE_TIMEOUT_MS,
        .on_state = on_pg_state,
        .ctx = deliveries,
    };
    enum rc rc;

    if (deliveries == NULL)
        abort();
    deliveries->run = run;
    rc = pg_open(&deliveries->pg, run_loop(run), &options);
    if (rc != RC_OK) {
        free(deliveries);
        return rc;
    }
    deliveries->prune = prune_open(run_loop(run), deliveries->pg, days);
    deliveries->arena = arena_create(ARENA_BYTES);
    for (size_t i = 0; i < COLUMNS; i++)
        pg_array_init(&deliveries->columns[i], types[i]);
    uv_timer_init(run_loop(run), &deliveries->again);
    uv_timer_init(run_loop(run), &deliveries->linger);
    deliveries->again.data = deliveries;
    deliveries->linger.data = deliveries;
    deliveries->stored = metric_create(METRIC_COUNTER, "handoffrail_webhook_records_total",
                                       "Delivery records stored in Postgres", "", NULL, 0);
    *out = deliveries;
    return RC_OK;
}

static void on_linger_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_again_closed(uv_handle_t *handle)
{
    struct deliveries *deliveries = handle->data;

    uv_close((uv_handle_t *)&deliveries->linger, on_linger_closed);
}

void deliveries_close(struct deliveries *deliveries)
{
    if (deliveries == NULL)
        return;
    deliveries->closed = true;
    again(deliveries);
    pg_close(deliveries->pg, NULL, NULL);
    prune_close(deliveries->prune);
    arena_destroy(deliveries->arena);
    for (size_t i = 0; i < COLUMNS; i++)
        pg_array_fini(&deliveries->columns[i]);
    uv_close((uv_handle_t *)&deliveries->again, on_again_closed);
}
