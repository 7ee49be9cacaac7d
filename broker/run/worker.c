// A service on the main loop, and nothing else.
#include "broker/run/worker.h"

static enum rc on_open(void *ctx, struct run *run)
{
    struct worker *worker = ctx;

    worker->run = run;
    worker->config = (struct service_config){
        .name = worker->spec->name,
        .help = worker->spec->summary,
        .handlers = worker->spec->handlers,
        .handler_count = worker->spec->handler_count,
        .ctx = worker,
    };
    return service_open(&worker->service, run_conn(run), &worker->config);
}

static void on_drain(void *ctx)
{
    service_drain(((struct worker *)ctx)->service);
}

static size_t on_in_hand(void *ctx)
{
    return service_in_hand(((struct worker *)ctx)->service);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    service_close(((struct worker *)ctx)->service);
}

int worker_main(int argc, char **argv, const struct worker_spec *spec, struct worker *worker)
{
    const struct run_spec run = {
        .name = spec->program,
        .summary = spec->summary,
        .keys = spec->keys,
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };

    worker->spec = spec;
    return run_program(argc, argv, &run, worker);
}
