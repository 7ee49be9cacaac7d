// packet: creates, reads, changes and deletes packets.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.create|get|update|delete
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per change
//   holds no state: any number of copies may run, and any of them may be killed at any moment

#include "broker/worker.h"

static void on_create(void *run, struct command *command)
{
    command_change(command, run_store(run), "packet.create", text_of(""), true, decide_create);
}

static void on_get(void *run, struct command *command)
{
    command_load(command, run_store(run), ((Hr__PacketRef *)command->request)->packet_id);
}

static void on_update(void *run, struct command *command)
{
    command_change(command, run_store(run), "packet.update",
                   ((Hr__UpdatePacket *)command->request)->packet_id, false, decide_update);
}

static void on_delete(void *run, struct command *command)
{
    command_change(command, run_store(run), "packet.delete",
                   ((Hr__PacketRef *)command->request)->packet_id, false, decide_delete);
}

int main(int argc, char **argv)
{
    static const struct command_spec commands[] = {
        {"packet", "create", &hr__create_packet__descriptor, on_create},
        {"packet", "get",    &hr__packet_ref__descriptor,    on_get   },
        {"packet", "update", &hr__update_packet__descriptor, on_update},
        {"packet", "delete", &hr__packet_ref__descriptor,    on_delete},
    };
    static const struct worker_spec spec = {
        .name = "packet",
        .program = "hr-worker-packet",
        .summary = "creates, reads, changes and deletes packets",
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
    };

    return worker_main(argc, argv, &spec);
}
