// chain: follow-up packets, and what a chain left out.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.chain|context
//   reads   bucket HR_TENANTS: each tenant's limits
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per follow-up
//   any number of copies may run, and any of them may be killed at any moment

#include "broker/nats/subjects.h"
#include "broker/run/worker.h"
#include "workers/chain/chain.h"

struct app {
    struct chain chain; // first: its limits are settings
    struct bucket *tenants;
};

static const struct cfg_key keys[] = {
    PARENT_KEYS(struct app, chain.settings),
    CFG_I64(struct app, chain.settings.max_context_bytes, "HR_CHAIN_MAX_CONTEXT_BYTES", "1048576",
            0, 67108864, "bytes that a packet may take over from its ancestors, likewise"),
    CFG_END,
};

static const double depth_bounds[] = {0, 1, 2, 5, 10, 20, 50};

static const struct command_handler handlers[] = {
    {CMD_CHAIN,   chain_on_chain  },
    {CMD_CONTEXT, chain_on_context},
};

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    *reason = "the tenants' limits are not known";
    return bucket_is_current(app->tenants);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const struct bucket_config tenants = {
        .stream = STREAM_TENANTS,
        .subject = SUBJECT_TENANTS,
        .descriptor = &hr__tenant__descriptor,
    };

    app->tenants = bucket_open(run, &tenants);
    app->chain.depth =
        metric_create(METRIC_HISTOGRAM, "handoffrail_chain_depth", "Hops of the follow-ups made",
                      "", depth_bounds, sizeof depth_bounds / sizeof depth_bounds[0]);
    app->chain.store = run_store(run);
    app->chain.settings.tenants = app->tenants;
    return RC_OK;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    bucket_close(app->tenants);
}

static void *handler_ctx(void *ctx)
{
    return &((struct app *)ctx)->chain;
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "chain",
        .summary = "makes follow-up packets",
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
