// audit: writes every record of the stream into Postgres, in order, exactly once.
//   takes   hr.v1.packet.<shard>.>, stream HR_PACKETS_<shard>
//   writes  tables packet_events, packets, projector: deploy/sql, which it also applies
//   promises that nothing is missing: while Postgres is away it keeps its place and catches up
//   later

#include "broker/run.h"
#include "broker/service.h"
#include "broker/subjects.h"
#include "workers/audit/follow.h"

#include <assert.h>

struct app {
    const char *postgres_url;
    struct follower *follower;
    struct service_config config;
    struct service *service; // answers pings, and shows the worker to service discovery
};

static const struct cfg_key keys[] = {
    CFG_STR(struct app, postgres_url, "HR_POSTGRES_URL", NULL, "Postgres, as libpq reads it"),
    CFG_END,
};

static bool is_ready(void *ctx, const char **reason)
{
    return follow_is_ready(((struct app *)ctx)->follower, reason);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    enum rc rc;

    static_assert(SHARD_COUNT == 1, "one follower per shard");
    rc = follow_open(&app->follower, run, app->postgres_url, 0);
    if (rc != RC_OK)
        return rc;
    app->config = (struct service_config){
        .name = "audit",
        .help = "writes every record of the stream into Postgres",
        .ready = is_ready,
        .ctx = app,
    };
    return service_open(&app->service, run_conn(run), &app->config);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    service_close(app->service);
    follow_close(app->follower);
}

int main(int argc, char **argv)
{
    static const struct run_spec spec = {
        .name = "hr-worker-audit",
        .summary = "writes every record of the stream into Postgres",
        .keys = keys,
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .ready = is_ready,
    };
    struct app app = {0};

    return run_program(argc, argv, &spec, &app);
}
