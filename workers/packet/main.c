// packet: creates, reads, changes and deletes packets, one or many.
//   takes
//   hr.v1.cmd.<tenant>.<key>.packet.create|get|update|delete|batch-create|batch-complete|follow
//   reads   bucket HR_TENANTS: each tenant's limits of a chain, which a create with a parent
//   continues makes   the durable consumers of agents that follow their tenant's packets writes
//   hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per change asks schema.check
//   of the schema workers, for a create that names a schema any number of copies may run, and any
//   of them may be killed at any moment

#include "broker/nats/subjects.h"
#include "broker/rail/commands.h"
#include "broker/rail/parent.h"
#include "broker/rail/schema_check.h"
#include "broker/run/worker.h"
#include "workers/packet/batches.h"
#include "workers/packet/follow.h"

struct app {
    struct run *run;
    int64_t batch_max;
    struct parent_settings parents;
    struct bucket *tenants;
};

static const struct cfg_key keys[] = {
    CFG_I64(struct app, batch_max, "HR_BATCH_MAX_SIZE", "50", 1, 1000,
            "packets that one batch may create"),
    PARENT_KEYS(struct app, parents),
    CFG_END,
};

static struct store *store_of(struct app *app)
{
    return run_store(app->run);
}

static void on_create(void *ctx, struct command *command)
{
    const Hr__CreatePacket *request = (const Hr__CreatePacket *)command->request;
    struct app *app = ctx;

    if (request->has_parent_packet_id && !bucket_is_current(app->tenants)) {
        command_fail(command, RC_UNAVAILABLE); // the tenant's limits are not known
        return;
    }
    command->check = schema_check_of_create(request);
    command->decide_ctx =
        parent_of_create(&app->parents, command->tenant, request, command->arena, &command->check);
    command_change(command, store_of(app), "packet.create", text_of(""), true, decide_create_child);
}

static void on_get(void *app, struct command *command)
{
    command_load(command, store_of(app), ((Hr__PacketRef *)command->request)->packet_id);
}

static void on_batch_create(void *ctx, struct command *command)
{
    struct app *app = ctx;

    // Whether one of them has a parent is known only when they have been read.
    if (bucket_is_current(app->tenants))
        batches_create(command, store_of(app), &app->parents, app->batch_max);
    else
        command_fail(command, RC_UNAVAILABLE);
}

static void on_batch_complete(void *app, struct command *command)
{
    batches_complete(command, store_of(app));
}

static void on_follow(void *app, struct command *command)
{
    follow_start(command, store_of(app));
}

static const struct command_handler handlers[] = {
    {CMD_CREATE,         on_create        },
    {CMD_GET,            on_get           },
    {CMD_BATCH_CREATE,   on_batch_create  },
    {CMD_BATCH_COMPLETE, on_batch_complete},
    {CMD_FOLLOW,         on_follow        },
};

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    *reason = "the tenants' limits are not known";
    return bucket_is_current(app->tenants);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const struct bucket_config tenants = {
        .stream = STREAM_TENANTS,
        .subject = SUBJECT_TENANTS,
        .descriptor = &hr__tenant__descriptor,
    };

    app->run = run;
    app->tenants = bucket_open(run, &tenants);
    app->parents.tenants = app->tenants;
    return RC_OK;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    bucket_close(app->tenants);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "packet",
        .summary = "creates, reads, changes and deletes packets",
        .keys = keys,
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .open = on_open,
        .ready = is_ready,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
