// query: answers lists, histories and the audit log out of Postgres.
//   takes   hr.v1.cmd.<tenant>.<key>.packet.list|search|awaiting|history|version|tree,
//           audit.list|export|wait, stats.get, system.health|totals, hook.deliveries|delivery|dlq
//   reads   buckets HR_HOOKS and HR_KEYS; the tables of deploy/sql
//   writes  nothing
//
// A reader that sends HR-Min-Seq sees everything up to it, or is told that the projection is
// behind.

#include "broker/message/issues.h"
#include "broker/nats/subjects.h"
#include "broker/rail/bucket.h"
#include "broker/rail/commands.h"
#include "broker/run/worker.h"
#include "workers/query/audit_export.h"
#include "workers/query/audit_list.h"
#include "workers/query/awaiting.h"
#include "workers/query/barrier.h"
#include "workers/query/deliveries.h"
#include "workers/query/history.h"
#include "workers/query/list.h"
#include "workers/query/numbers.h"
#include "workers/query/search.h"
#include "workers/query/totals.h"
#include "workers/query/tree.h"
#include "workers/query/version.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct app {
    const char *postgres_url;
    int64_t connections;
    struct pg *pg;
    struct barrier *barrier;
    struct bucket *hooks;
    struct bucket *keys;
};

static const struct cfg_key keys[] = {
    CFG_STR(struct app, postgres_url, "HR_POSTGRES_URL", NULL, "Postgres, as libpq reads it"),
    CFG_I64(struct app, connections, "HR_POSTGRES_CONNECTIONS", "4", 1, 64,
            "connections to Postgres, which is how many queries run at a time"),
    CFG_END,
};

// A command that waits at the barrier; in its arena.
struct entry {
    struct app *app;
    struct command *command;
    void (*enter)(struct app *app, struct command *command);
    struct barrier_wait wait;
};

static void on_passed(void *ctx, enum rc rc)
{
    struct entry *entry = ctx;
    struct command *command = entry->command;
    struct problem problem;

    if (rc == RC_OK) {
        entry->enter(entry->app, command);
    } else if (rc == RC_TIMEOUT) {
        (void)problem_set(&problem, command->arena, PROBLEM_PROJECTION_BEHIND,
                          "The read side has not caught up with this write yet");
        problem.retry_after_seconds = 1;
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

static void enter_when_passed(struct app *app, struct command *command,
                              void (*enter)(struct app *app, struct command *command))
{
    struct entry *entry = arena_alloc(command->arena, sizeof *entry);

    static_assert(SHARD_COUNT == 1, "min_seq counts in the one shard");
    entry->app = app;
    entry->command = command;
    entry->enter = enter;
    barrier_wait(app->barrier, &entry->wait, 0, command->min_seq, on_passed, entry);
}

static void on_page(void *ctx, enum rc rc, const Hr__PacketPage *page)
{
    struct command *command = ctx;

    if (rc == RC_OK)
        command_reply(command, &page->base, 0);
    else
        command_fail(command, rc);
}

static void enter_list(struct app *app, struct command *command)
{
    struct problem problem;
    enum rc rc = list_packets(app->pg, command->tenant, (Hr__ListPackets *)command->request,
                              command->arena, &problem, on_page, command);

    if (rc == RC_REFUSED)
        command_refuse(command, &problem);
    else if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_list(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_list);
}

static void on_history_rows(void *ctx, enum rc rc, const Hr__History *history)
{
    struct command *command = ctx;
    const Hr__GetHistory *request = (Hr__GetHistory *)command->request;
    struct problem problem;

    if (rc == RC_OK) {
        command_reply(command, &history->base, 0);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Packet %.*s not found",
                          TEXT_ARGS(request->packet_id));
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

static void enter_history(struct app *app, struct command *command)
{
    const Hr__GetHistory *request = (Hr__GetHistory *)command->request;
    enum rc rc;

    if (!request->has_packet_id || request->packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    rc = history_get(app->pg, command->tenant, request, command->arena, on_history_rows, command);
    if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_history(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_history);
}

static void on_audit_page(void *ctx, enum rc rc, const Hr__AuditPage *page)
{
    struct command *command = ctx;

    if (rc == RC_OK)
        command_reply(command, &page->base, 0);
    else
        command_fail(command, rc);
}

static void enter_audit(struct app *app, struct command *command)
{
    enum rc rc = audit_list(app->pg, command->tenant, (Hr__ListAudit *)command->request,
                            command->arena, on_audit_page, command);

    if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_audit(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_audit);
}

static void on_export_page(void *ctx, enum rc rc, const Hr__AuditRows *rows)
{
    struct command *command = ctx;

    if (rc == RC_OK)
        command_reply(command, &rows->base, 0);
    else
        command_fail(command, rc);
}

static void enter_export(struct app *app, struct command *command)
{
    struct problem problem;
    enum rc rc = audit_export(app->pg, command->tenant, (Hr__ExportAudit *)command->request,
                              command->arena, &problem, on_export_page, command);

    if (rc == RC_REFUSED)
        command_refuse(command, &problem);
    else if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_export(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_export);
}

static void on_version_row(void *ctx, enum rc rc, const Hr__Packet *packet, uint64_t sequence)
{
    struct command *command = ctx;
    const Hr__GetVersion *request = (Hr__GetVersion *)command->request;
    struct problem problem;

    if (rc == RC_OK) {
        command_reply(command, &packet->base, sequence);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND,
                          "Packet %.*s has no version %.*s", TEXT_ARGS(request->packet_id),
                          TEXT_ARGS(request->event_id));
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

static void enter_version(struct app *app, struct command *command)
{
    const Hr__GetVersion *request = (Hr__GetVersion *)command->request;
    enum rc rc;

    if (!request->has_packet_id || request->packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    rc = version_get(app->pg, command->tenant, request, command->arena, on_version_row, command);
    if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_version(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_version);
}

static void on_tree_rows(void *ctx, enum rc rc, const Hr__ChainTree *tree)
{
    struct command *command = ctx;
    const Hr__GetTree *request = (Hr__GetTree *)command->request;
    struct problem problem;

    if (rc == RC_OK) {
        command_reply(command, &tree->base, 0);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Packet %.*s not found",
                          TEXT_ARGS(request->packet_id));
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

static void enter_tree(struct app *app, struct command *command)
{
    const Hr__GetTree *request = (Hr__GetTree *)command->request;
    enum rc rc;

    if (!request->has_packet_id || request->packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    rc = tree_get(app->pg, command->tenant, request, command->arena, on_tree_rows, command);
    if (rc != RC_OK)
        command_fail(command, rc);
}

static void on_tree(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_tree);
}

static void enter_empty(struct app *app, struct command *command)
{
    (void)app;
    command_reply(command, wire_new(command->arena, &hr__empty__descriptor), 0);
}

static void on_wait(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_empty);
}

static void on_answer(void *ctx, enum rc rc, const ProtobufCMessage *answer)
{
    struct command *command = ctx;

    if (rc == RC_OK)
        command_reply(command, answer, 0);
    else
        command_fail(command, rc);
}

// rc: what the question returned; it has been asked, or there will be no answer.
static void asked(struct command *command, enum rc rc)
{
    if (rc != RC_OK)
        command_fail(command, rc);
}

static void enter_search(struct app *app, struct command *command)
{
    asked(command, search_packets(app->pg, command->tenant, (Hr__SearchPackets *)command->request,
                                  command->arena, on_answer, command));
}

static void on_search(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_search);
}

static void enter_awaiting(struct app *app, struct command *command)
{
    asked(command,
          awaiting_list(app->pg, app->keys, command->tenant, (Hr__ListAwaiting *)command->request,
                        command->arena, on_answer, command));
}

static void on_awaiting(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_awaiting);
}

static void enter_stats(struct app *app, struct command *command)
{
    asked(command, numbers_stats(app->pg, command->tenant, command->arena, on_answer, command));
}

static void on_stats(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_stats);
}

struct hook_count {
    const char *tenant; // NULL: all
    int64_t count;
};

static void count_hook(void *ctx, const char *key, const ProtobufCMessage *hook)
{
    struct hook_count *count = ctx;
    size_t len = count->tenant != NULL ? strlen(count->tenant) : 0;

    (void)hook;
    count->count +=
        count->tenant == NULL || (strncmp(key, count->tenant, len) == 0 && key[len] == '.');
}

static int64_t count_hooks(const struct app *app, const char *tenant)
{
    struct hook_count count = {tenant, 0};

    bucket_each(app->hooks, count_hook, &count);
    return count.count;
}

static void enter_health(struct app *app, struct command *command)
{
    bool platform = strcmp(command->tenant, TENANT_PLATFORM) == 0;

    const struct numbers_known known = {
        .connections = app->connections,
        .webhooks = count_hooks(app, platform ? NULL : command->tenant),
    };

    asked(command, numbers_health(app->pg, platform ? NULL : command->tenant, &known,
                                  command->arena, on_answer, command));
}

static void on_totals(void *ctx, struct command *command)
{
    const struct app *app = ctx;
    bool platform = strcmp(command->tenant, TENANT_PLATFORM) == 0;

    asked(command, totals_get(app->pg, platform ? NULL : command->tenant, command->arena, on_answer,
                              command));
}

static const Hr__Hook *hook_of(const struct app *app, const char *tenant, Text hook_id)
{
    char key[TOKEN_MAX + UUID_TEXT_BYTES + 2];

    (void)snprintf(key, sizeof key, "%s.%.*s", tenant, TEXT_ARGS(hook_id));
    return (const Hr__Hook *)bucket_find(app->hooks, key);
}

// A hook that was made a moment ago may not have been heard of here: then it has no deliveries, and
// only one that is unknown to a bucket that is read is none.
static bool knows_hook(const struct app *app, struct command *command, Text hook_id)
{
    struct problem problem;

    if (!bucket_is_current(app->hooks)) {
        command_fail(command, RC_UNAVAILABLE);
        return false;
    }
    if (hook_of(app, command->tenant, hook_id) != NULL)
        return true;
    (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Webhook %.*s not found",
                      TEXT_ARGS(hook_id));
    command_refuse(command, &problem);
    return false;
}

static void on_deliveries(void *ctx, struct command *command)
{
    const struct app *app = ctx;
    const Hr__ListDeliveries *request = (const Hr__ListDeliveries *)command->request;

    if (knows_hook(app, command, request->hook_id))
        asked(command, deliveries_list(app->pg, command->tenant, request, command->arena, on_answer,
                                       command));
}

static void on_dlq(void *ctx, struct command *command)
{
    const struct app *app = ctx;

    asked(command, deliveries_dlq(app->pg, command->tenant, (const Hr__ListDlq *)command->request,
                                  command->arena, on_answer, command));
}

static void on_delivery_row(void *ctx, enum rc rc, const ProtobufCMessage *answer)
{
    struct command *command = ctx;
    const Hr__GetDelivery *request = (const Hr__GetDelivery *)command->request;
    struct problem problem;

    if (rc != RC_NOT_FOUND) {
        on_answer(command, rc, answer);
        return;
    }
    (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Delivery %.*s not found",
                      TEXT_ARGS(request->delivery_id));
    command_refuse(command, &problem);
}

static void on_delivery(void *ctx, struct command *command)
{
    const struct app *app = ctx;
    const Hr__GetDelivery *request = (const Hr__GetDelivery *)command->request;

    if (knows_hook(app, command, request->hook_id))
        asked(command, deliveries_get(app->pg, command->tenant, request, command->arena,
                                      on_delivery_row, command));
}

static void on_health(void *ctx, struct command *command)
{
    enter_when_passed(ctx, command, enter_health);
}

static const struct command_handler handlers[] = {
    {CMD_LIST,          on_list      },
    {CMD_HISTORY,       on_history   },
    {CMD_VERSION,       on_version   },
    {CMD_TREE,          on_tree      },
    {CMD_SEARCH,        on_search    },
    {CMD_AWAITING,      on_awaiting  },
    {CMD_STATS,         on_stats     },
    {CMD_SYSTEM_HEALTH, on_health    },
    {CMD_SYSTEM_TOTALS, on_totals    },
    {CMD_DELIVERIES,    on_deliveries},
    {CMD_DELIVERY,      on_delivery  },
    {CMD_DLQ,           on_dlq       },
    {CMD_AUDIT_LIST,    on_audit     },
    {CMD_AUDIT_EXPORT,  on_export    },
    {CMD_AUDIT_WAIT,    on_wait      },
};

static void on_pg_state(void *ctx, bool up)
{
    struct app *app = ctx;

    if (app->barrier != NULL)
        barrier_on_state(app->barrier, up);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct app *app = ctx;

    (void)channel; // sessions listen to one
    barrier_on_notify(app->barrier, payload);
}

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    if (pg_is_up(app->pg))
        return true;
    *reason = "not connected to Postgres";
    return false;
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const struct pg_options options = {
        .conninfo = app->postgres_url,
        .application = run_name(run),
        // Every plan for the values at hand: list.c relies on it. Room for the matches of a search
        // for a common word, which are forgotten and found again otherwise.
        .session =
            "SET plan_cache_mode = force_custom_plan; SET work_mem = '32MB';" BARRIER_SESSION,
        .connections = (int)app->connections,
        .on_state = on_pg_state,
        .on_notify = on_notify,
        .ctx = app,
    };
    enum rc rc = pg_open(&app->pg, run_loop(run), &options);

    if (rc != RC_OK)
        return rc;
    app->barrier = barrier_open(app->pg, run_loop(run));
    app->hooks = bucket_open(run, &(struct bucket_config){.stream = STREAM_HOOKS,
                                                          .subject = SUBJECT_HOOKS,
                                                          .descriptor = &hr__hook__descriptor});
    app->keys = bucket_open(run, &(struct bucket_config){.stream = STREAM_KEYS,
                                                         .subject = SUBJECT_KEYS,
                                                         .descriptor = &hr__api_key__descriptor});
    return RC_OK;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    // What still waits is answered by these two.
    barrier_close(app->barrier);
    bucket_close(app->hooks);
    bucket_close(app->keys);
    pg_close(app->pg, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "query",
        .summary = "answers lists, histories and the audit log out of Postgres",
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
