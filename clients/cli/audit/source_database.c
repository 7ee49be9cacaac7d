// Rows out of Postgres, in the order in which they were written, so that the pages of the table are
// met one behind the other. The chains' ends are read first: rows that are added meanwhile lie
// behind them.
#include "clients/cli/audit/source.h"

#include "broker/sql/pg.h"
#include "broker/sql/sealed_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 2000
#define PAGE_BYTES (8 << 20)
#define CONNECT_MS 10000
#define QUERY_TIMEOUT_MS 120000

struct database {
    uv_loop_t loop;
    uv_timer_t patience; // until the connection is up
    struct pg *pg;
    struct verify *verify;
    struct progress *progress;
    const char *tenant; // NULL: all
    struct place {
        int64_t shard;
        int64_t epoch;
        int64_t seq;
        int64_t part;
    } place; // of the last row that was read
    bool up;
    bool started;
    bool ended;
    enum rc rc;
};

static const struct pg_statement count_statement = {
    "verify_count",
    "SELECT coalesce(sum(n), 0)::bigint FROM event_counts WHERE $1::text IS NULL OR tenant = $1",
};

static const struct pg_statement chains_statement = {
    "verify_chains",
    "SELECT tenant, shard, number, epoch, seq, part, mac FROM audit_chains"
    " WHERE $1::text IS NULL OR tenant = $1",
};

static const struct pg_statement page_statement = {
    "verify_page",
    SEALED_ROW_PAGE("(shard, epoch, seq, part) > ($2, $3, $4, $5)"
                    " AND ($1::text IS NULL OR tenant = $1)",
                    "$6", "$7"),
};

static void end(struct database *database, enum rc rc)
{
    database->ended = true;
    database->rc = rc;
    uv_stop(&database->loop);
}

static void next_page(struct database *database);

static struct pg_param tenant_param(const struct database *database)
{
    return database->tenant != NULL ? pg_text(database->tenant, strlen(database->tenant))
                                    : pg_null(PG_TEXT);
}

static void on_page(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct database *database = ctx;
    int count = rc == RC_OK ? pg_rows(results[0]) : 0;

    for (int i = 0; i < count; i++) {
        struct seal_row row;

        sealed_row_read(&row, results[0], i);
        verify_row(database->verify, &row);
        database->place = (struct place){row.shard, row.epoch, row.seq, row.part};
        database->progress->done++;
        progress_row(database->progress);
    }
    if (count == 0)
        end(database, rc);
    else
        next_page(database);
}

static void next_page(struct database *database)
{
    const struct place *place = &database->place;
    const struct pg_param params[] = {
        tenant_param(database), pg_int8(place->shard), pg_int8(place->epoch), pg_int8(place->seq),
        pg_int8(place->part),   pg_int8(PAGE_ROWS),    pg_int8(PAGE_BYTES),
    };
    enum rc rc = pg_query(database->pg, &page_statement, params, 7, on_page, database);

    if (rc != RC_OK)
        end(database, rc);
}

static void on_chains(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct database *database = ctx;

    if (rc != RC_OK) {
        end(database, rc);
        return;
    }
    for (int i = 0; i < pg_rows(results[0]); i++) {
        struct seal_head head = {
            .shard = pg_get_int(results[0], i, 1),
            .count = pg_get_int(results[0], i, 2),
            .epoch = pg_get_int(results[0], i, 3),
            .seq = pg_get_int(results[0], i, 4),
            .part = pg_get_int(results[0], i, 5),
        };
        size_t len;
        const void *mac = pg_get_bytes(results[0], i, 6, &len);

        memcpy(head.mac, mac, len < SEAL_BYTES ? len : SEAL_BYTES);
        head.tenant.data = (uint8_t *)(uintptr_t)pg_get_bytes(results[0], i, 0, &head.tenant.len);
        verify_expect(database->verify, &head);
    }
    database->progress->total = (uint64_t)pg_get_int(results[1], 0, 0);
    next_page(database);
}

static void on_state(void *ctx, bool up)
{
    struct database *database = ctx;
    const struct pg_param tenant = tenant_param(database);
    const struct pg_step steps[] = {
        {&chains_statement, &tenant, 1},
        {&count_statement,  &tenant, 1},
    };
    enum rc rc = RC_UNAVAILABLE;

    if (database->ended)
        return;
    if (up && !database->started)
        rc = pg_run(database->pg, PG_SNAPSHOT, steps, 2, on_chains, database);
    database->started = true;
    uv_timer_stop(&database->patience);
    if (rc != RC_OK)
        end(database, rc);
}

static void on_no_patience(uv_timer_t *timer)
{
    end(timer->data, RC_UNAVAILABLE);
}

enum rc source_database(struct verify *verify, const char *url, const char *tenant,
                        struct progress *progress)
{
    struct database database = {
        .verify = verify,
        .progress = progress,
        .tenant = tenant,
        .place = {-1, -1, -1, -1},
    };
    const struct pg_options options = {
        .conninfo = url,
        .application = "handoffrail audit verify",
        // Pages are read in the order of an index. Right after many rows were written the planner
        // thinks that next to none follow, and would sort all that do for every page.
        .session = "SET plan_cache_mode = force_custom_plan; SET enable_sort = off;"
                   " SET default_transaction_read_only = on;",
        .connections = 1,
        .timeout_ms = QUERY_TIMEOUT_MS,
        .on_state = on_state,
        .ctx = &database,
    };

    if (uv_loop_init(&database.loop) != 0)
        abort();
    uv_timer_init(&database.loop, &database.patience);
    database.patience.data = &database;
    uv_timer_start(&database.patience, on_no_patience, CONNECT_MS, 0);
    database.rc = pg_open(&database.pg, &database.loop, &options);
    database.ended = database.rc != RC_OK;
    while (!database.ended)
        uv_run(&database.loop, UV_RUN_DEFAULT);
    pg_close(database.pg, NULL, NULL);
    uv_close((uv_handle_t *)&database.patience, NULL);
    uv_run(&database.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&database.loop);
    if (database.rc != RC_OK)
        (void)fprintf(stderr, "the database cannot be read: %s\n", rc_text(database.rc));
    return database.rc;
}
