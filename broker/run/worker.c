// What all workers have in common: a service on the main loop.
#include "broker/run/worker.h"

#include <stdio.h>

#define PROGRAM_BYTES 64

struct worker {
    const struct worker_spec *spec;
    void *app;
    struct service_config config;
    struct service *service;
};

static bool is_ready(void *ctx, const char **reason)
{
    const struct worker *worker = ctx;

    return worker->spec->ready == NULL || worker->spec->ready(worker->app, reason);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct worker *worker = ctx;
    const struct worker_spec *spec = worker->spec;
    enum rc rc = spec->open != NULL ? spec->open(worker->app, run) : RC_OK;

    if (rc != RC_OK)
        return rc;
    worker->config = (struct service_config){
        .name = spec->name,
        .help = spec->summary,
        .handlers = spec->handlers,
        .handler_count = spec->handler_count,
        .decide = command_decide,
        .store = run_store(run),
        .ready = is_ready,
        .ready_ctx = worker,
        .ctx = spec->handler_ctx != NULL ? spec->handler_ctx(worker->app) : worker->app,
    };
    return service_open(&worker->service, run_conn(run), &worker->config);
}

static void on_drain(void *ctx)
{
    struct worker *worker = ctx;

    service_drain(worker->service);
    if (worker->spec->drain != NULL)
        worker->spec->drain(worker->app);
}

static size_t on_in_hand(void *ctx)
{
    struct worker *worker = ctx;
    size_t own = worker->spec->in_hand != NULL ? worker->spec->in_hand(worker->app) : 0;

    return service_in_hand(worker->service) + own;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct worker *worker = ctx;

    if (worker->spec->close != NULL)
        worker->spec->close(worker->app);
    service_close(worker->service);
}

int worker_main(int argc, char **argv, const struct worker_spec *spec, void *app)
{
    char program[PROGRAM_BYTES];
    const struct run_spec run = {
        .name = program,
        .summary = spec->summary,
        .keys = spec->keys,
        .settings = app,
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .ready = is_ready,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct worker worker = {.spec = spec, .app = app};

    (void)snprintf(program, sizeof program, "hr-worker-%s", spec->name);
    return run_program(argc, argv, &run, &worker);
}
