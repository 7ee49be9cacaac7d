// claim: lets agents take packets.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.claim
//   writes  hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per claim
//   promises one winner: the queue group spreads the work, the append decides

#include "broker/worker.h"

static void on_claim(void *run, struct command *command)
{
    command_change(command, run_store(run), "packet.claim",
                   ((Hr__ClaimPacket *)command->request)->packet_id, false, decide_claim);
}

int main(int argc, char **argv)
{
    static const struct command_spec commands[] = {
        {"packet", "claim", &hr__claim_packet__descriptor, on_claim},
    };
    static const struct worker_spec spec = {
        .name = "claim",
        .program = "hr-worker-claim",
        .summary = "lets agents take packets",
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
    };

    return worker_main(argc, argv, &spec);
}
