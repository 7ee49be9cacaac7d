// query: answers lists, histories and the audit log out of Postgres.
//   takes   the commands that command_table.h gives to it
//   reads   buckets HR_HOOKS and HR_KEYS; the tables of deploy/sql
//   writes  nothing
//
// A reader that sends HR-Min-Seq sees everything up to it, or is told that the projection is
// behind.

#include "broker/nats/subjects.h"
#include "broker/run/worker.h"
#include "workers/query/queries.h"

// Every plan for the values at hand: list.c relies on it. Room for the matches of a search for a
// common word, which are forgotten and found again otherwise.
#define SESSION "SET plan_cache_mode = force_custom_plan; SET work_mem = '32MB';"

struct app {
    const char *postgres_url;
    struct queries queries;
};

static const struct cfg_key keys[] = {
    CFG_STR(struct app, postgres_url, "HR_POSTGRES_URL", NULL, "Postgres, as libpq reads it"),
    CFG_I64(
        struct app, queries.connections, "HR_POSTGRES_CONNECTIONS", "4", 1, 64,
        "connections to Postgres, which is how many queries run at a time; exports have one more"),
    CFG_END,
};

static void on_pg_state(void *ctx, bool up)
{
    struct app *app = ctx;

    if (app->queries.barrier != NULL)
        barrier_on_state(app->queries.barrier, up);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct app *app = ctx;

    (void)channel; // sessions listen to one
    barrier_on_notify(app->queries.barrier, payload);
}

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    if (pg_is_up(app->queries.pg))
        return true;
    *reason = "not connected to Postgres";
    return false;
}

static enum rc open_exports(struct app *app, struct run *run)
{
    const struct pg_options options = {
        .conninfo = app->postgres_url,
        .application = run_name(run),
        .session = SESSION,
        .connections = 1,
    };

    return pg_open(&app->queries.exports, run_loop(run), &options);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const struct pg_options options = {
        .conninfo = app->postgres_url,
        .application = run_name(run),
        .session = SESSION BARRIER_SESSION,
        .connections = (int)app->queries.connections,
        .on_state = on_pg_state,
        .on_notify = on_notify,
        .ctx = app,
    };
    enum rc rc = pg_open(&app->queries.pg, run_loop(run), &options);

    if (rc == RC_OK)
        rc = open_exports(app, run);
    if (rc != RC_OK)
        return rc;
    app->queries.barrier = barrier_open(app->queries.pg, run_loop(run));
    app->queries.hooks =
        bucket_open(run, &(struct bucket_config){.stream = STREAM_HOOKS,
                                                 .subject = SUBJECT_HOOKS,
                                                 .descriptor = &hr__hook__descriptor});
    app->queries.keys =
        bucket_open(run, &(struct bucket_config){.stream = STREAM_KEYS,
                                                 .subject = SUBJECT_KEYS,
                                                 .descriptor = &hr__api_key__descriptor});
    return RC_OK;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    // What still waits is answered by these two.
    barrier_close(app->queries.barrier);
    bucket_close(app->queries.hooks);
    bucket_close(app->queries.keys);
    pg_close(app->queries.exports, NULL, NULL);
    pg_close(app->queries.pg, NULL, NULL);
}

static const struct command_handler handlers[] = {
    {CMD_LIST,          queries_answer},
    {CMD_HISTORY,       queries_answer},
    {CMD_VERSION,       queries_answer},
    {CMD_TREE,          queries_answer},
    {CMD_SEARCH,        queries_answer},
    {CMD_AWAITING,      queries_answer},
    {CMD_STATS,         queries_answer},
    {CMD_SYSTEM_HEALTH, queries_answer},
    {CMD_SYSTEM_TOTALS, queries_answer},
    {CMD_DELIVERIES,    queries_answer},
    {CMD_DELIVERY,      queries_answer},
    {CMD_DLQ,           queries_answer},
    {CMD_AUDIT_LIST,    queries_answer},
    {CMD_AUDIT_EXPORT,  queries_answer},
    {CMD_AUDIT_WAIT,    queries_answer},
};

static void *handler_ctx(void *ctx)
{
    return &((struct app *)ctx)->queries;
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "query",
        .summary = "answers lists, histories and the audit log out of Postgres",
        .keys = keys,
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .handler_ctx = handler_ctx,
        .open = on_open,
        .ready = is_ready,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
