// hitl: takes humans' answers, and acts when there is none in time.
//   takes    hr.v1.cmd.<tenant>.<key>.packet.respond|batch-respond
//   follows  the stream of packets, for deadlines; the bucket HR_KEYS, for groups
//   writes   hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per answer or step
//   any number of copies may run, and any of them may be killed at any moment

#include "broker/nats/subjects.h"
#include "broker/rail/batch.h"
#include "broker/rail/commands.h"
#include "broker/rail/feed.h"
#include "broker/rail/timers.h"
#include "broker/run/worker.h"
#include "workers/hitl/electors.h"

struct app {
    struct run *run;
    struct bucket *keys;
    struct timers *timers;
    struct feed *feed;
};

static void on_respond(void *ctx, struct command *command)
{
    struct app *app = ctx;

    if (!bucket_is_current(app->keys)) {
        command_fail(command, RC_UNAVAILABLE); // who may vote is not known
        return;
    }
    command->decide_ctx = electors_of(app->keys, command->tenant, command->arena);
    command_change(command, run_store(app->run), "packet.respond",
                   ((Hr__RespondPacket *)command->request)->packet_id, false, decide_respond);
}

static void on_batch_answered(struct command *command, const struct batch *batch, uint64_t sequence)
{
    Hr__BatchResponded *answer = wire_new(command->arena, &hr__batch_responded__descriptor);

    batch_packets(command, batch, &answer->responded, &answer->n_responded);
    batch_errors(command, batch, &answer->errors, &answer->n_errors);
    command_reply(command, &answer->base, sequence);
}

static void on_batch_respond(void *ctx, struct command *command)
{
    const Hr__BatchRespond *request = (const Hr__BatchRespond *)command->request;
    struct batch *batch = arena_calloc(command->arena, 1, sizeof *batch);
    struct app *app = ctx;

    if (!bucket_is_current(app->keys)) {
        command_fail(command, RC_UNAVAILABLE);
        return;
    }
    command->decide_ctx = electors_of(app->keys, command->tenant, command->arena);
    *batch = (struct batch){.verb = "packet.batch-respond",
                            .decide = decide_respond,
                            .count = request->n_responses,
                            .done = on_batch_answered};
    batch->items = arena_calloc(command->arena, batch->count, sizeof *batch->items);
    for (size_t i = 0; i < batch->count; i++) {
        const Hr__RespondPacket *response = request->responses[i];

        if (!response->has_packet_id || response->packet_id.len == 0) {
            command_refuse_missing_id(command);
            return;
        }
        batch->items[i].packet_id =
            arena_copy(command->arena, response->packet_id.data, response->packet_id.len);
        batch->items[i].request = &response->base;
    }
    batch_run(command, run_store(app->run), batch);
}

static const struct command_handler handlers[] = {
    {CMD_RESPOND,       on_respond      },
    {CMD_BATCH_RESPOND, on_batch_respond},
};

static void on_packet(void *ctx, const char *tenant, const char *packet_id,
                      const struct stored *stored)
{
    struct app *app = ctx;

    timers_note(app->timers, tenant, packet_id, stored);
}

// The stream has lost its end: what is heard next of a packet counts, also if it is older.
static void on_reset(void *ctx)
{
    struct app *app = ctx;

    timers_reset(app->timers);
}

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    *reason = "reading the stream";
    return bucket_is_current(app->keys) && feed_is_current(app->feed);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->run = run;
    app->keys = bucket_open(run, &(struct bucket_config){.stream = STREAM_KEYS,
                                                         .subject = SUBJECT_KEYS,
                                                         .descriptor = &hr__api_key__descriptor});
    app->timers = timers_open(run, &(struct timers_config){.kinds = DUE_HITL});
    app->feed = feed_open(
        run, &(struct feed_config){.on_packet = on_packet, .on_reset = on_reset, .ctx = app});
    return RC_OK;
}

static void on_drain(void *ctx)
{
    struct app *app = ctx;

    timers_drain(app->timers);
}

static size_t on_in_hand(void *ctx)
{
    struct app *app = ctx;

    return timers_in_hand(app->timers);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    feed_close(app->feed);
    timers_close(app->timers);
    bucket_close(app->keys);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "hitl",
        .summary = "takes humans' answers, and acts when there is none in time",
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .open = on_open,
        .ready = is_ready,
        .drain = on_drain,
        .in_hand = on_in_hand,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
