// webhook: tells others of changes over HTTP, at least once and in order per packet.
//   takes   hr.v1.cmd.<tenant>.<key>.hook.create|list|get|update|delete|rotate|test|replay|
//           retry-all|recover
//   reads   hr.v1.packet.<shard>.>, stream HR_PACKETS_<shard>; bucket HR_HOOKS
//   writes  hr.v1.delivery.<partition>.<tenant>.<hook>.<delivery>, stream HR_DELIVERIES;
//           buckets HR_HOOKS and HR_OWNERS; hr.v1.given.<tenant>.answer-<digest>, stream HR_GIVEN
//   any number of copies may run, and any of them may be killed at any moment: what was sent and
//   not written down is sent again, under the same delivery id

#include "broker/base/log.h"
#include "broker/run/worker.h"
#include "workers/webhook/follow.h"
#include "workers/webhook/orders.h"
#include "workers/webhook/replay.h"

#include <stdio.h>
#include <string.h>

#define LIGHT_MAX 256 // deliveries of a hook whose bodies are kept in memory

struct app {
    const char *key_file;
    const char *retry_seconds;
    const char *ca_file;
    const char *name;
    int64_t timeout_ms;
    int64_t concurrency;
    int64_t connections;
    int64_t unfinished_per_hook;
    int64_t unfinished;
    int64_t body_bytes;
    int64_t rotation_seconds;
    int64_t disable_seconds;
    struct hooks hooks;
    struct keyring *ring;
    struct records records;
    struct queue *queue;
    struct dispatcher *dispatcher;
    struct follower *follower;
    struct owners *owners;
};

static const struct cfg_key keys[] = {
    CFG_STR(struct app, key_file, "HR_WEBHOOK_KEY_FILE", NULL,
            "file with the numbered keys that secrets are kept under: a number, a blank and 32 or "
            "more characters a line; the highest number is used for new ones"),
    CFG_STR(struct app, hooks.allowed_hosts, "HR_ALLOWED_WEBHOOK_HOSTS", "",
            "hosts that may have an address that is not public, separated by commas"),
    CFG_STR(struct app, retry_seconds, "HR_WEBHOOK_RETRY_SECONDS", "1,5,30,300,3600,21600",
            "between one attempt and the next; as many retries as there are numbers"),
    CFG_STR(struct app, ca_file, "HR_WEBHOOK_CA_FILE", "",
            "certificates to trust; empty: the system's"),
    CFG_STR(struct app, name, "HR_WEBHOOK_WORKER_NAME", "",
            "what this copy is called: under the same name again, it goes on at once; empty: "
            "another one each time"),
    CFG_I64(struct app, timeout_ms, "HR_WEBHOOK_TIMEOUT_MS", "10000", 10, 60000,
            "for one attempt, from connecting to the end of the answer"),
    CFG_I64(struct app, concurrency, "HR_WEBHOOK_CONCURRENCY", "8", 1, 256,
            "attempts at a time for one webhook; fewer while it fails"),
    CFG_I64(struct app, connections, "HR_WEBHOOK_CONNECTIONS", "512", 2, 10000,
            "attempts at a time for all webhooks of one worker; half of them for those that fail"),
    CFG_I64(struct app, unfinished_per_hook, "HR_WEBHOOK_UNFINISHED_PER_HOOK", "10000", 16, 1000000,
            "deliveries of one webhook that may wait for a retry; more stay in the stream"),
    CFG_I64(struct app, unfinished, "HR_WEBHOOK_UNFINISHED", "200000", 16, 10000000,
            "the same for all webhooks of one worker"),
    CFG_I64(struct app, body_bytes, "HR_WEBHOOK_BODY_BYTES", "67108864", 1048576, 4294967296,
            "of bodies that one worker keeps before they are sent; more stay in the stream"),
    CFG_I64(struct app, hooks.per_tenant, "HR_WEBHOOKS_PER_TENANT", "1000", 1, 100000,
            "webhooks that a tenant may have, inactive ones included"),
    CFG_I64(struct app, rotation_seconds, "HR_WEBHOOK_ROTATION_SECONDS", "86400", 0, 2592000,
            "that the old secret signs as well after a rotation"),
    CFG_I64(struct app, disable_seconds, "HR_WEBHOOK_DISABLE_SECONDS", "432000", 1, 2592000,
            "without a success after which a webhook that fails is made inactive"),
    CFG_END,
};

static const struct command_handler handlers[] = {
    {CMD_HOOK_CREATE,    hooks_on_create    },
    {CMD_HOOK_LIST,      hooks_on_list      },
    {CMD_HOOK_GET,       hooks_on_get       },
    {CMD_HOOK_UPDATE,    hooks_on_update    },
    {CMD_HOOK_DELETE,    hooks_on_delete    },
    {CMD_HOOK_ROTATE,    hooks_on_rotate    },
    {CMD_HOOK_TEST,      replay_on_test     },
    {CMD_HOOK_REPLAY,    replay_on_replay   },
    {CMD_HOOK_RETRY_ALL, replay_on_retry_all},
    {CMD_HOOK_RECOVER,   orders_on_recover  },
};

static bool is_ready(void *ctx, const char **reason)
{
    const struct app *app = ctx;

    *reason = "reading the webhooks";
    return registry_is_current(app->hooks.registry) && owners_are_known(app->owners);
}

static void on_hook(void *ctx, const char *key, const Hr__Hook *hook)
{
    struct app *app = ctx;

    if (app->follower != NULL)
        follow_on_hook(app->follower, key, hook);
    orders_on_hook(app->hooks.orders, key, hook);
}

static bool may_send(void *ctx)
{
    const struct app *app = ctx;

    return app->owners != NULL && owners_are_sure(app->owners);
}

static void on_finished(void *ctx, const struct queued *delivery)
{
    struct app *app = ctx;

    if (app->follower != NULL)
        follow_on_finished(app->follower, delivery);
}

static void open_parts(struct app *app, struct run *run)
{
    const struct queue_limits limits = {
        .per_hook = (unsigned)app->concurrency,
        .total = (unsigned)app->connections,
        .light_max = LIGHT_MAX,
        .per_hook_max = (size_t)app->unfinished_per_hook,
        .total_max = (size_t)app->unfinished,
        .payload_bytes_max = (size_t)app->body_bytes,
    };

    app->hooks.run = run;
    app->hooks.orders = orders_open(run);
    app->hooks.records = &app->records;
    app->hooks.turns.limits = replay_limits;
    app->hooks.rotation_us = app->rotation_seconds * US_PER_SECOND;
    app->records.run = run;
    app->queue = queue_create(&limits);
    app->hooks.registry =
        registry_open(&(struct registry_config){.run = run, .on_change = on_hook, .ctx = app});
    app->dispatcher = dispatcher_open(
        &(struct dispatcher_config){.run = run,
                                    .queue = app->queue,
                                    .records = &app->records,
                                    .registry = app->hooks.registry,
                                    .attempts = &app->hooks.attempts,
                                    .disable_after_us = app->disable_seconds * US_PER_SECOND,
                                    .may_send = may_send,
                                    .finished = on_finished,
                                    .ctx = app});
    app->follower = follow_open(&(struct follow_config){.run = run,
                                                        .queue = app->queue,
                                                        .records = &app->records,
                                                        .registry = app->hooks.registry,
                                                        .dispatcher = app->dispatcher});
    app->owners = owners_open(run, &(struct owners_config){.name = app->name,
                                                           .on_taken = follow_on_taken,
                                                           .on_lost = follow_on_lost,
                                                           .fill = follow_fill,
                                                           .may_leave = follow_may_leave,
                                                           .ctx = app->follower});
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const char *wrong = schedule_parse(&app->hooks.attempts.schedule, app->retry_seconds);
    enum rc rc = keyring_open(&app->ring, app->key_file);

    if (wrong != NULL) {
        log_error("webhook.setting", "name=HR_WEBHOOK_RETRY_SECONDS reason=\"%s\"", wrong);
        return RC_CONFIG;
    }
    if (strlen(app->name) >= OWNER_NAME_BYTES) {
        log_error("webhook.setting",
                  "name=HR_WEBHOOK_WORKER_NAME reason=\"more than %d characters\"",
                  OWNER_NAME_BYTES - 1);
        return RC_CONFIG;
    }
    app->hooks.attempts.ring = app->ring;
    if (rc == RC_OK)
        rc = sender_open(&app->hooks.attempts.sender,
                         &(struct sender_config){.loop = run_loop(run),
                                                 .timeout_ms = app->timeout_ms,
                                                 .allowed_hosts = app->hooks.allowed_hosts,
                                                 .ca_file = app->ca_file});
    if (rc != RC_OK)
        return rc;
    open_parts(app, run);
    return RC_OK;
}

static void on_drain(void *ctx)
{
    struct app *app = ctx;

    orders_drain(app->hooks.orders);
    dispatcher_drain(app->dispatcher);
    owners_drain(app->owners);
}

static size_t on_in_hand(void *ctx)
{
    struct app *app = ctx;

    return dispatcher_count(app->dispatcher) + owners_in_hand(app->owners);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    sender_close(app->hooks.attempts.sender);
    owners_close(app->owners);
    follow_close(app->follower);
    dispatcher_close(app->dispatcher);
    queue_destroy(app->queue);
    registry_close(app->hooks.registry);
    orders_close(app->hooks.orders);
    keyring_close(app->ring);
}

static void *handler_ctx(void *ctx)
{
    return &((struct app *)ctx)->hooks;
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "webhook",
        .summary = "tells others of changes over HTTP",
        .keys = keys,
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .handler_ctx = handler_ctx,
        .open = on_open,
        .ready = is_ready,
        .drain = on_drain,
        .in_hand = on_in_hand,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
