// A service on the main loop, and nothing else.
#include "broker/worker.h"

struct app {
    const struct worker_spec *spec;
    struct service_config config;
    struct service *service;
};

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->config = (struct service_config){
        .name = app->spec->name,
        .help = app->spec->summary,
        .commands = app->spec->commands,
        .command_count = app->spec->command_count,
        .ctx = run,
    };
    return service_open(&app->service, run_conn(run), &app->config);
}

static void on_drain(void *ctx)
{
    struct app *app = ctx;

    service_drain(app->service);
}

static size_t on_in_hand(void *ctx)
{
    struct app *app = ctx;

    return service_in_hand(app->service);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    service_close(app->service);
}

int worker_main(int argc, char **argv, const struct worker_spec *spec)
{
    const struct run_spec run = {
        .name = spec->program,
        .summary = spec->summary,
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct app app = {.spec = spec};

    return run_program(argc, argv, &run, &app);
}
