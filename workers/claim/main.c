// claim: lets agents take packets.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.claim
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per claim
//   promises one winner: the queue group spreads the work, the append decides

#include "broker/commands.h"
#include "broker/run.h"

struct app {
    struct run *run;
    struct service_config config;
    struct service *service;
};

static void on_claim(void *ctx, struct command *command)
{
    struct app *app = ctx;

    command_change(command, run_store(app->run), "packet.claim",
                   ((Hr__ClaimPacket *)command->request)->packet_id, false, decide_claim);
}

static const struct command_spec commands[] = {
    {"packet", "claim", &hr__claim_packet__descriptor, on_claim},
};

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->run = run;
    app->config = (struct service_config){
        .name = "claim",
        .help = "lets agents take packets",
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
        .ctx = app,
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

int main(int argc, char **argv)
{
    static const struct run_spec spec = {
        .name = "hr-worker-claim",
        .summary = "lets agents take packets",
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct app app = {0};

    return run_program(argc, argv, &spec, &app);
}
