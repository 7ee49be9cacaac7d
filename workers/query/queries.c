// One function per query, and one table that says which command asks which.
#include "workers/query/queries.h"

#include "broker/message/issues.h"
#include "broker/message/problem.h"
#include "broker/nats/subjects.h"
#include "broker/rail/commands.h"
#include "workers/query/audit_export.h"
#include "workers/query/audit_list.h"
#include "workers/query/awaiting.h"
#include "workers/query/deliveries.h"
#include "workers/query/history.h"
#include "workers/query/list.h"
#include "workers/query/numbers.h"
#include "workers/query/search.h"
#include "workers/query/search_text.h"
#include "workers/query/totals.h"
#include "workers/query/tree.h"
#include "workers/query/version.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// --- answers -------------------------------------------------------------------------------------

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

// Likewise, of one that may be refused.
static void asked_or_refused(struct command *command, enum rc rc, const struct problem *problem)
{
    if (rc == RC_REFUSED)
        command_refuse(command, problem);
    else
        asked(command, rc);
}

static void refuse_unknown(struct command *command, const char *what, Text id)
{
    struct problem problem;

    (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "%s %.*s not found", what,
                      TEXT_ARGS(id));
    command_refuse(command, &problem);
}

static bool has_id(struct command *command, bool has, Text id)
{
    if (has && id.len > 0)
        return true;
    command_refuse_missing_id(command);
    return false;
}

// --- packets -------------------------------------------------------------------------------------

static void ask_list(const struct queries *q, struct command *command)
{
    struct problem problem;
    enum rc rc = list_packets(q->pg, command->tenant, (Hr__ListPackets *)command->request,
                              command->arena, &problem, on_answer, command);

    asked_or_refused(command, rc, &problem);
}

static void on_history(void *ctx, enum rc rc, const ProtobufCMessage *answer)
{
    struct command *command = ctx;

    if (rc == RC_NOT_FOUND)
        refuse_unknown(command, "Packet", ((Hr__GetHistory *)command->request)->packet_id);
    else
        on_answer(command, rc, answer);
}

static void ask_history(const struct queries *q, struct command *command)
{
    const Hr__GetHistory *request = (Hr__GetHistory *)command->request;

    if (has_id(command, request->has_packet_id, request->packet_id))
        asked(command,
              history_get(q->pg, command->tenant, request, command->arena, on_history, command));
}

static void on_version(void *ctx, enum rc rc, const Hr__Packet *packet, uint64_t sequence)
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

static void ask_version(const struct queries *q, struct command *command)
{
    const Hr__GetVersion *request = (Hr__GetVersion *)command->request;

    if (has_id(command, request->has_packet_id, request->packet_id))
        asked(command,
              version_get(q->pg, command->tenant, request, command->arena, on_version, command));
}

static void on_tree(void *ctx, enum rc rc, const ProtobufCMessage *answer)
{
    struct command *command = ctx;

    if (rc == RC_NOT_FOUND)
        refuse_unknown(command, "Packet", ((Hr__GetTree *)command->request)->packet_id);
    else
        on_answer(command, rc, answer);
}

static void ask_tree(const struct queries *q, struct command *command)
{
    const Hr__GetTree *request = (Hr__GetTree *)command->request;

    if (has_id(command, request->has_packet_id, request->packet_id))
        asked(command, tree_get(q->pg, command->tenant, request, command->arena, on_tree, command));
}

// To leave some out would find what the caller does not want to see.
static void refuse_exclusions(struct command *command)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;
    const char *reason = arena_printf(command->arena, "q may exclude at most %d words or phrases",
                                      SEARCH_EXCLUDED_MAX);
    struct issue *issue;

    path_push_name(&path, text_of("query"));
    path_push_name(&path, text_of("q"));
    issue = issues_add(&issues, &path, "value_error",
                       arena_printf(command->arena, "Value error, %s", reason));
    issue->ctx = issues_reason(command->arena, reason);
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
}

static void ask_search(const struct queries *q, struct command *command)
{
    if (search_excluded(((const Hr__SearchPackets *)command->request)->q) > SEARCH_EXCLUDED_MAX) {
        refuse_exclusions(command);
        return;
    }
    asked(command, search_packets(q->pg, command->tenant, (Hr__SearchPackets *)command->request,
                                  command->arena, on_answer, command));
}

static void ask_awaiting(const struct queries *q, struct command *command)
{
    asked(command,
          awaiting_list(q->pg, q->keys, command->tenant, (Hr__ListAwaiting *)command->request,
                        command->arena, on_answer, command));
}

// --- the audit log -------------------------------------------------------------------------------

static void ask_audit(const struct queries *q, struct command *command)
{
    asked(command, audit_list(q->pg, command->tenant, (Hr__ListAudit *)command->request,
                              command->arena, on_answer, command));
}

static void ask_export(const struct queries *q, struct command *command)
{
    struct problem problem;
    enum rc rc = audit_export(q->exports, command->tenant, (Hr__ExportAudit *)command->request,
                              command->arena, &problem, on_answer, command);

    asked_or_refused(command, rc, &problem);
}

// That it has waited is the answer.
static void ask_nothing(const struct queries *q, struct command *command)
{
    (void)q;
    command_reply(command, wire_new(command->arena, &hr__empty__descriptor), 0);
}

// --- numbers -------------------------------------------------------------------------------------

static void ask_stats(const struct queries *q, struct command *command)
{
    asked(command, numbers_stats(q->pg, command->tenant, command->arena, on_answer, command));
}

// NULL: all tenants.
static const char *tenant_or_all(const struct command *command)
{
    return strcmp(command->tenant, TENANT_PLATFORM) == 0 ? NULL : command->tenant;
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

static int64_t count_hooks(const struct queries *q, const char *tenant)
{
    struct hook_count count = {tenant, 0};

    bucket_each(q->hooks, count_hook, &count);
    return count.count;
}

static void ask_health(const struct queries *q, struct command *command)
{
    const char *tenant = tenant_or_all(command);
    const struct numbers_known known = {
        .connections = q->connections,
        .webhooks = count_hooks(q, tenant),
    };

    asked(command, numbers_health(q->pg, tenant, &known, command->arena, on_answer, command));
}

static void ask_totals(const struct queries *q, struct command *command)
{
    asked(command, totals_get(q->pg, tenant_or_all(command), command->arena, on_answer, command));
}

// --- webhooks ------------------------------------------------------------------------------------

static const Hr__Hook *hook_of(const struct queries *q, const char *tenant, Text hook_id)
{
    char key[TOKEN_MAX + UUID_TEXT_BYTES + 2];

    (void)snprintf(key, sizeof key, "%s.%.*s", tenant, TEXT_ARGS(hook_id));
    return (const Hr__Hook *)bucket_find(q->hooks, key);
}

// A hook that was made a moment ago may not be known here yet: then it has no deliveries. Only one
// that a bucket does not have that has been read to its end is none.
static bool knows_hook(const struct queries *q, struct command *command, Text hook_id)
{
    if (!bucket_is_current(q->hooks)) {
        command_fail(command, RC_UNAVAILABLE);
        return false;
    }
    if (hook_of(q, command->tenant, hook_id) != NULL)
        return true;
    refuse_unknown(command, "Webhook", hook_id);
    return false;
}

static void ask_deliveries(const struct queries *q, struct command *command)
{
    const Hr__ListDeliveries *request = (const Hr__ListDeliveries *)command->request;

    if (knows_hook(q, command, request->hook_id))
        asked(command,
              deliveries_list(q->pg, command->tenant, request, command->arena, on_answer, command));
}

static void ask_dlq(const struct queries *q, struct command *command)
{
    asked(command, deliveries_dlq(q->pg, command->tenant, (const Hr__ListDlq *)command->request,
                                  command->arena, on_answer, command));
}

static void on_delivery(void *ctx, enum rc rc, const ProtobufCMessage *answer)
{
    struct command *command = ctx;

    if (rc == RC_NOT_FOUND)
        refuse_unknown(command, "Delivery", ((Hr__GetDelivery *)command->request)->delivery_id);
    else
        on_answer(command, rc, answer);
}

static void ask_delivery(const struct queries *q, struct command *command)
{
    const Hr__GetDelivery *request = (const Hr__GetDelivery *)command->request;

    if (knows_hook(q, command, request->hook_id))
        asked(command, deliveries_get(q->pg, command->tenant, request, command->arena, on_delivery,
                                      command));
}

// --- which command asks what ---------------------------------------------------------------------

typedef void (*ask_fn)(const struct queries *q, struct command *command);

static ask_fn ask_of(const struct command_row *row)
{
    static const struct {
        enum command_id id;
        ask_fn ask;
    } table[] = {
        {CMD_LIST,          ask_list      },
        {CMD_HISTORY,       ask_history   },
        {CMD_VERSION,       ask_version   },
        {CMD_TREE,          ask_tree      },
        {CMD_SEARCH,        ask_search    },
        {CMD_AWAITING,      ask_awaiting  },
        {CMD_STATS,         ask_stats     },
        {CMD_SYSTEM_HEALTH, ask_health    },
        {CMD_SYSTEM_TOTALS, ask_totals    },
        {CMD_DELIVERIES,    ask_deliveries},
        {CMD_DELIVERY,      ask_delivery  },
        {CMD_DLQ,           ask_dlq       },
        {CMD_AUDIT_LIST,    ask_audit     },
        {CMD_AUDIT_EXPORT,  ask_export    },
        {CMD_AUDIT_WAIT,    ask_nothing   },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (command_row(table[i].id) == row)
            return table[i].ask;
    }
    return NULL;
}

// A command that waits at the barrier; in its arena.
struct waiting {
    const struct queries *queries;
    struct command *command;
    struct barrier_wait wait;
};

static void on_passed(void *ctx, enum rc rc)
{
    struct waiting *waiting = ctx;
    struct command *command = waiting->command;
    struct problem problem;

    if (rc == RC_OK) {
        ask_of(command_table_row(command))(waiting->queries, command);
    } else if (rc == RC_TIMEOUT) {
        (void)problem_set(&problem, command->arena, PROBLEM_PROJECTION_BEHIND,
                          "The read side has not caught up with this write yet");
        problem.retry_after_seconds = 1;
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

void queries_answer(void *ctx, struct command *command)
{
    const struct queries *queries = ctx;
    const struct command_row *row = command_table_row(command);
    struct waiting *waiting;

    static_assert(SHARD_COUNT == 1, "min_seq counts in the one shard");
    if ((row->flags & COMMAND_READS) == 0) {
        ask_of(row)(queries, command);
        return;
    }
    waiting = arena_alloc(command->arena, sizeof *waiting);
    waiting->queries = queries;
    waiting->command = command;
    barrier_wait(queries->barrier, &waiting->wait, 0, command->min_seq, on_passed, waiting);
}
