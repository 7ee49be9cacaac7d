// packet: creates, reads, changes and deletes packets.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.create|get|update|delete
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per change
//   holds no state: any number of copies may run, and any of them may be killed at any moment

#include "broker/commands.h"
#include "broker/run.h"

struct app {
    struct run *run;
    struct service_config config;
    struct service *service;
};

static void on_create(void *ctx, struct command *command)
{
    struct app *app = ctx;

    command_change(command, run_store(app->run), "packet.create", text_of(""), true, decide_create);
}

static void on_get(void *ctx, struct command *command)
{
    struct app *app = ctx;

    command_load(command, run_store(app->run), ((Hr__PacketRef *)command->request)->packet_id);
}

static void on_update(void *ctx, struct command *command)
{
    struct app *app = ctx;

    command_change(command, run_store(app->run), "packet.update",
                   ((Hr__UpdatePacket *)command->request)->packet_id, false, decide_update);
}

static void on_delete(void *ctx, struct command *command)
{
    struct app *app = ctx;

    command_change(command, run_store(app->run), "packet.delete",
                   ((Hr__PacketRef *)command->request)->packet_id, false, decide_delete);
}

static const struct command_spec commands[] = {
    {"packet", "create", &hr__create_packet__descriptor, on_create},
    {"packet", "get",    &hr__packet_ref__descriptor,    on_get   },
    {"packet", "update", &hr__update_packet__descriptor, on_update},
    {"packet", "delete", &hr__packet_ref__descriptor,    on_delete},
};

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->run = run;
    app->config = (struct service_config){
        .name = "packet",
        .help = "creates, reads, changes and deletes packets",
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
        .name = "hr-worker-packet",
        .summary = "creates, reads, changes and deletes packets",
        .creates_topology = true,
        .open = on_open,
        .close = on_close,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct app app = {0};

    return run_program(argc, argv, &spec, &app);
}
