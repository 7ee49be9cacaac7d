// packet: creates, reads, changes and deletes packets, one or many.
//   takes
//   hr.v1.cmd.<tenant>.<key>.packet.create|get|update|delete|batch-create|batch-complete|follow
//   makes   the durable consumers of agents that follow their tenant's packets
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per change
//   asks    schema.check of the schema workers, for a create that names a schema
//   holds no state: any number of copies may run, and any of them may be killed at any moment

#include "broker/schema_check.h"
#include "broker/worker.h"
#include "workers/packet/batches.h"
#include "workers/packet/follow.h"

struct app {
    struct worker worker; // first
    int64_t batch_max;
};

static const struct cfg_key keys[] = {
    CFG_I64(struct app, batch_max, "HR_BATCH_MAX_SIZE", "50", 1, 1000,
            "packets that one batch may create"),
    CFG_END,
};

static struct store *store_of(struct app *app)
{
    return run_store(app->worker.run);
}

static void on_create(void *app, struct command *command)
{
    command->check = schema_check_of_create((const Hr__CreatePacket *)command->request);
    command_change(command, store_of(app), "packet.create", text_of(""), true, decide_create);
}

static void on_get(void *app, struct command *command)
{
    command_load(command, store_of(app), ((Hr__PacketRef *)command->request)->packet_id);
}

static void on_update(void *app, struct command *command)
{
    command_change(command, store_of(app), "packet.update",
                   ((Hr__UpdatePacket *)command->request)->packet_id, false, decide_update);
}

static void on_delete(void *app, struct command *command)
{
    command_change(command, store_of(app), "packet.delete",
                   ((Hr__PacketRef *)command->request)->packet_id, false, decide_delete);
}

static void on_batch_create(void *app, struct command *command)
{
    batches_create(command, store_of(app), ((struct app *)app)->batch_max);
}

static void on_batch_complete(void *app, struct command *command)
{
    batches_complete(command, store_of(app));
}

static void on_follow(void *app, struct command *command)
{
    follow_start(command, store_of(app));
}

int main(int argc, char **argv)
{
    static const struct command_spec commands[] = {
        {"packet", "create",         &hr__create_packet__descriptor,  on_create        },
        {"packet", "get",            &hr__packet_ref__descriptor,     on_get           },
        {"packet", "update",         &hr__update_packet__descriptor,  on_update        },
        {"packet", "delete",         &hr__packet_ref__descriptor,     on_delete        },
        {"packet", "batch-create",   &hr__batch_create__descriptor,   on_batch_create  },
        {"packet", "batch-complete", &hr__batch_complete__descriptor, on_batch_complete},
        {"packet", "follow",         &hr__follow_packets__descriptor, on_follow        },
    };
    static const struct worker_spec spec = {
        .name = "packet",
        .program = "hr-worker-packet",
        .summary = "creates, reads, changes and deletes packets",
        .keys = keys,
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app.worker);
}
