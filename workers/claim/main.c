// claim: lets agents take packets, keep them, and give them back.
//   takes    hr.v1.cmd.<tenant>.<key>.packet.claim|claim-next|heartbeat|release|decline|
//            batch-claim
//   follows  the stream of packets, for what is open and for leases; the bucket HR_TENANTS
//   writes   hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per change
//   promises one winner: the queue group spreads the work, the append decides

#include "broker/message/issues.h"
#include "broker/nats/subjects.h"
#include "broker/rail/batch.h"
#include "broker/rail/bucket.h"
#include "broker/rail/commands.h"
#include "broker/rail/feed.h"
#include "broker/rail/timers.h"
#include "broker/run/worker.h"
#include "workers/claim/next.h"

struct app {
    int64_t aging_seconds;
    int64_t waiting_max;
    struct run *run;
    struct bucket *tenants;
    struct timers *timers;
    struct offers *offers;
    struct next *next;
    struct give_back *give_back;
    struct subscription *withdrawals;
    struct feed *feed;
};

static const struct cfg_key keys[] = {
    CFG_I64(struct app, aging_seconds, "HR_PRIORITY_AGING_SECONDS", "300", 1, 31536000,
            "waiting so long is worth one step of priority to a packet; a tenant may have its own"),
    CFG_I64(struct app, waiting_max, "HR_CLAIM_NEXT_WAITING_MAX", "8192", 0, 1048576,
            "agents that may wait for a packet at this worker; more are refused with 503"),
    CFG_END,
};

static void change(struct app *app, struct command *command, const char *verb, Text packet_id,
                   decide_fn decide)
{
    command_change(command, run_store(app->run), verb, packet_id, false, decide);
}

// Anybody could otherwise give back or keep what somebody else holds.
static bool names_holder(struct command *command, bool has_agent)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;

    if (has_agent || command->claim != 0)
        return true;
    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("agent_id"));
    (void)issues_add(&issues, &path, "missing",
                     "Field required, or the claim's generation in the header X-HR-Claim");
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
    return false;
}

static void on_heartbeat(void *ctx, struct command *command)
{
    const Hr__HeartbeatClaim *request = (Hr__HeartbeatClaim *)command->request;

    if (names_holder(command, request->has_agent_id))
        change(ctx, command, "packet.heartbeat", request->packet_id, decide_heartbeat);
}

static void on_release(void *ctx, struct command *command)
{
    const Hr__ReleaseClaim *request = (Hr__ReleaseClaim *)command->request;

    if (names_holder(command, request->has_agent_id))
        change(ctx, command, "packet.release", request->packet_id, decide_release);
}

static int64_t aging_us(const struct app *app, const char *tenant)
{
    const Hr__Tenant *own = (const Hr__Tenant *)bucket_find(app->tenants, tenant);
    int64_t seconds =
        own != NULL && own->has_priority_aging_seconds && own->priority_aging_seconds > 0
            ? own->priority_aging_seconds
            : app->aging_seconds;

    return seconds * US_PER_SECOND;
}

static void on_claim_next(void *ctx, struct command *command)
{
    struct app *app = ctx;

    next_claim(app->next, command, aging_us(app, command->tenant));
}

static void on_batch_claimed(struct command *command, const struct batch *batch, uint64_t sequence)
{
    Hr__BatchClaimed *answer = wire_new(command->arena, &hr__batch_claimed__descriptor);

    batch_packets(command, batch, &answer->claimed, &answer->n_claimed);
    batch_errors(command, batch, &answer->errors, &answer->n_errors);
    command_reply(command, &answer->base, sequence);
}

static const ProtobufCMessage *claim_of(const Hr__BatchClaim *request, struct arena *arena)
{
    Hr__ClaimPacket *claim = wire_new(arena, &hr__claim_packet__descriptor);

    claim->has_agent_id = true;
    claim->agent_id = request->agent_id;
    claim->has_agent_name = true;
    claim->agent_name = request->agent_name;
    claim->has_framework = request->has_framework;
    claim->framework = request->framework;
    claim->has_lease_seconds = request->has_lease_seconds;
    claim->lease_seconds = request->lease_seconds;
    claim->has_subject_digest = request->has_subject_digest;
    claim->subject_digest = request->subject_digest;
    return &claim->base;
}

static void on_batch_claim(void *ctx, struct command *command)
{
    const Hr__BatchClaim *request = (const Hr__BatchClaim *)command->request;
    struct batch *batch = arena_calloc(command->arena, 1, sizeof *batch);
    struct app *app = ctx;

    *batch = (struct batch){.verb = "packet.batch-claim",
                            .decide = decide_batch_claim,
                            .count = request->n_packet_ids,
                            .done = on_batch_claimed};
    batch->items = arena_calloc(command->arena, batch->count, sizeof *batch->items);
    for (size_t i = 0; i < batch->count; i++) {
        Text id = request->packet_ids[i];

        batch->items[i].packet_id = arena_copy(command->arena, id.data, id.len);
        batch->items[i].request = claim_of(request, command->arena);
    }
    batch_run(command, run_store(app->run), batch);
}

static const struct command_handler handlers[] = {
    {CMD_CLAIM_NEXT,  on_claim_next },
    {CMD_HEARTBEAT,   on_heartbeat  },
    {CMD_RELEASE,     on_release    },
    {CMD_BATCH_CLAIM, on_batch_claim},
};

static void on_withdraw(void *ctx, struct msg *msg)
{
    struct app *app = ctx;
    struct subject_parts parts;

    if (msg_is_no_responders(msg) || subject_parse_command(&parts, msg_subject(msg)) != RC_OK)
        return;
    next_withdraw(app->next, parts.tenant, parts.key, msg_data(msg), msg_len(msg));
}

static void on_packet(void *ctx, const char *tenant, const char *packet_id,
                      const struct stored *stored)
{
    struct app *app = ctx;
    struct offer *offer = offers_note(app->offers, tenant, packet_id, stored);

    timers_note(app->timers, tenant, packet_id, stored);
    if (offer != NULL)
        next_wake(app->next, tenant, offer);
}

static void on_current(void *ctx, bool current)
{
    struct app *app = ctx;

    if (current)
        next_begin(app->next);
}

// The stream has lost its end: what is heard next of a packet counts, also if it is older.
static void on_reset(void *ctx)
{
    struct app *app = ctx;

    timers_reset(app->timers);
    offers_reset(app->offers);
}

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    *reason = "reading the stream";
    return feed_is_current(app->feed);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->run = run;
    app->tenants = bucket_open(run, &(struct bucket_config){.stream = STREAM_TENANTS,
                                                            .subject = SUBJECT_TENANTS,
                                                            .descriptor = &hr__tenant__descriptor});
    app->timers = timers_open(run, &(struct timers_config){.kinds = DUE_LEASE | DUE_CLAIM_BY});
    app->offers = offers_create();
    app->give_back = give_back_create(run_requests(run), run_store(run));
    app->next = next_open(run_loop(run), run_store(run), app->offers, app->give_back,
                          (size_t)app->waiting_max);
    app->feed = feed_open(run, &(struct feed_config){.on_packet = on_packet,
                                                     .on_reset = on_reset,
                                                     .on_current = on_current,
                                                     .ctx = app});
    if (conn_subscribe(&app->withdrawals, run_conn(run), SUBJECT_WITHDRAW, NULL, on_withdraw,
                       app) != RC_OK)
        return RC_IO;
    return RC_OK;
}

static void on_drain(void *ctx)
{
    struct app *app = ctx;

    timers_drain(app->timers);
    next_drain(app->next);
}

static size_t on_in_hand(void *ctx)
{
    struct app *app = ctx;

    return timers_in_hand(app->timers) + give_back_in_hand(app->give_back);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    feed_close(app->feed);
    conn_unsubscribe(app->withdrawals);
    next_close(app->next);
    give_back_destroy(app->give_back);
    offers_destroy(app->offers);
    timers_close(app->timers);
    bucket_close(app->tenants);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "claim",
        .summary = "lets agents take packets, keep them, and give them back",
        .keys = keys,
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
