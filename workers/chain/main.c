// chain: follow-up packets, and what a chain left out.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.chain|context
//   reads   bucket HR_TENANTS: each tenant's limits
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per follow-up
//   any number of copies may run, and any of them may be killed at any moment

#include "broker/nats/subjects.h"
#include "broker/run/run.h"
#include "workers/chain/chain.h"

struct app {
    struct chain chain; // first: its limits are settings
    struct bucket *tenants;
    struct service_config config;
    struct service *service;
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

static bool service_is_ready(void *ctx, const char **reason)
{
    const struct chain *chain = ctx;

    *reason = "the tenants' limits are not known";
    return bucket_is_current(chain->settings.tenants);
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
    app->config = (struct service_config){
        .name = "chain",
        .help = "makes follow-up packets",
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .ready = service_is_ready,
        .ctx = &app->chain,
    };
    return service_open(&app->service, run_conn(run), &app->config);
}

static void on_drain(void *ctx)
{
    service_drain(((struct app *)ctx)->service);
}

static size_t on_in_hand(void *ctx)
{
    return service_in_hand(((struct app *)ctx)->service);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    service_close(app->service);
    bucket_close(app->tenants);
}

int main(int argc, char **argv)
{
    static const struct run_spec spec = {
        .name = "hr-worker-chain",
        .summary = "makes follow-up packets",
        .keys = keys,
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .ready = is_ready,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct app app = {0};

    return run_program(argc, argv, &spec, &app);
}
