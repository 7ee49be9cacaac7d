// A replay is one attempt, made by whoever was asked: a dead letter holds nothing else back, so it
// needs no place in the queue. Its record is written on condition, so two replays at once are two
// attempts and one outcome.
//
// A recovery may be of many, so it only puts them back: their records say that they are pending,
// and the hook's entry says from where they stand, which its owner reads.
#include "workers/webhook/replay.h"

#include "broker/base/log.h"
#include "broker/packet/json_write.h"
#include "workers/webhook/hook_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ALL_MAX 100
#define RECOVER_MAX 1000
#define QUERY_TIMEOUT_MS 5000

static Hr__Json *milliseconds(struct arena *arena, int64_t us)
{
    return wire_json(arena,
                     text_of(arena_printf(arena, "%" PRId64 ".%03" PRId64, us / 1000, us % 1000)));
}

// --- one attempt at a dead letter ----------------------------------------------------------------

struct replay {
    struct hooks *hooks;
    struct arena *arena; // the command's
    struct record_name name;
    Hr__DeliveryRecord *record;
    uint64_t sequence;
    bool succeeded;
    void (*done)(void *ctx, const struct replay *replay, enum rc rc); // RC_NOT_FOUND: not one
    void *ctx;
};

static void on_replay_written(void *ctx, enum rc rc, uint64_t sequence)
{
    struct replay *replay = ctx;

    (void)sequence;
    replay->done(replay->ctx, replay, rc == RC_CONFLICT ? RC_NOT_FOUND : rc);
}

static void on_replay_result(void *ctx, const struct sender_result *result)
{
    struct replay *replay = ctx;

    replay->succeeded = attempt_succeeded(result);
    replay->record->delivery->attempts = 0;
    attempt_note(&replay->hooks->attempts, replay->record, replay->arena, result, false);
    records_put(replay->hooks->records, &replay->name, replay->record, replay->sequence,
                on_replay_written, replay);
}

static void on_replay_hook(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct replay *replay = ctx;
    const Hr__Delivery *delivery = replay->record->delivery;
    const struct attempt_request request = {
        .hook = hook,
        .delivery_id = replay->name.delivery_id,
        .event = arena_copy(replay->arena, delivery->event_type.data, delivery->event_type.len),
        .body = replay->record->body,
        .done = on_replay_result,
        .ctx = replay,
    };

    if (rc == RC_OK && !hook->active)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK)
        rc = attempt_start(&replay->hooks->attempts, &request, replay->arena);
    if (rc != RC_OK)
        replay->done(replay->ctx, replay, rc);
}

static bool keep(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    (void)ctx;
    (void)hook;
    (void)arena;
    return false;
}

static void on_replay_loaded(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct replay *replay = ctx;
    char key[HOOK_KEY_BYTES];

    if (rc == RC_OK && !text_is(record->delivery->status, "dead_letter"))
        rc = RC_NOT_FOUND;
    if (rc != RC_OK) {
        replay->done(replay->ctx, replay, rc);
        return;
    }
    replay->record = record;
    replay->sequence = sequence;
    registry_key(key, replay->name.tenant, replay->name.hook_id);
    registry_edit(replay->hooks->registry, key, replay->arena, keep, on_replay_hook, replay);
}

static void replay_start(struct replay *replay)
{
    records_load(replay->hooks->records, &replay->name, replay->arena, on_replay_loaded, replay);
}

// --- one by its id -------------------------------------------------------------------------------

struct replay_command {
    struct command *command;
    const char *id;
    struct replay replay;
    struct record_subject subject;
};

static void on_replayed(void *ctx, const struct replay *replay, enum rc rc)
{
    struct replay_command *one = ctx;
    struct arena *arena = one->command->arena;
    Hr__Replayed *reply = wire_new(arena, &hr__replayed__descriptor);
    struct problem problem;

    if (rc == RC_OK && replay->succeeded) {
        reply->has_delivery_id = true;
        reply->delivery_id = text_of(one->id);
        reply->has_replayed = true;
        reply->replayed = true;
        command_reply(one->command, &reply->base, 0);
    } else if (rc == RC_OK || rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, arena, PROBLEM_NOT_FOUND,
                          "DLQ entry %s not found, not in dead_letter status, or webhook inactive",
                          one->id);
        command_refuse(one->command, &problem);
    } else {
        command_fail(one->command, rc);
    }
}

// Which hook it was for is in the subject of its record.
static void on_found(void *ctx, enum rc rc, struct msg *reply)
{
    static const char member[] = "\"subject\":\"";
    struct replay_command *one = ctx;
    struct arena *arena = one->command->arena;
    const char *subject = NULL;

    if (rc == RC_OK)
        subject = strstr(arena_copy(arena, msg_data(reply), msg_len(reply)), member);
    if (rc != RC_OK) {
        command_fail(one->command, rc);
        return;
    }
    if (subject != NULL) {
        subject += sizeof member - 1;
        subject = arena_copy(arena, subject, strcspn(subject, "\""));
    }
    if (subject == NULL || !records_parse(&one->subject, subject) ||
        strcmp(one->subject.tenant, one->command->tenant) != 0) {
        on_replayed(one, &one->replay, RC_NOT_FOUND);
        return;
    }
    one->replay.name.hook_id = one->subject.hook_id;
    replay_start(&one->replay);
}

void replay_on_replay(void *ctx, struct command *command)
{
    const Hr__ReplayDelivery *request = (const Hr__ReplayDelivery *)command->request;
    struct replay_command *one = arena_calloc(command->arena, 1, sizeof *one);
    struct hooks *hooks = ctx;
    char body[SUBJECT_BYTES + 64];
    const struct request find = {.subject = "$JS.API.STREAM.MSG.GET." STREAM_DELIVERIES,
                                 .lane = "api",
                                 .inbox = run_name(hooks->run),
                                 .data = body,
                                 .timeout_ms = QUERY_TIMEOUT_MS,
                                 .done = on_found,
                                 .ctx = one};
    struct request sent = find;

    one->command = command;
    one->id = arena_copy(command->arena, request->delivery_id.data, request->delivery_id.len);
    one->replay = (struct replay){
        .hooks = hooks,
        .arena = command->arena,
        .name = {.tenant = command->tenant, .delivery_id = one->id},
        .done = on_replayed,
        .ctx = one
    };
    if (request->delivery_id.len == 0) {
        on_replayed(one, &one->replay, RC_NOT_FOUND);
        return;
    }
    sent.len =
        (size_t)snprintf(body, sizeof body, "{\"last_by_subj\":\"hr.v1.delivery.*.%s.*.%s\"}",
                         command->tenant, one->id);
    request_send(run_requests(hooks->run), &sent);
}

// --- lists of dead letters -----------------------------------------------------------------------

typedef void (*dlq_fn)(void *ctx, const Hr__DlqList *list);

struct dlq {
    struct command *command;
    dlq_fn done;
    void *ctx;
};

static void on_dlq(void *ctx, enum rc rc, struct msg *reply)
{
    struct dlq *dlq = ctx;
    ProtobufCMessage *list = NULL;

    if (rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) != NULL)
        rc = RC_UNAVAILABLE;
    if (rc == RC_OK)
        rc = wire_unpack(&list, dlq->command->arena, &hr__dlq_list__descriptor, msg_data(reply),
                         msg_len(reply));
    if (rc == RC_OK)
        dlq->done(dlq->ctx, (const Hr__DlqList *)list);
    else
        command_fail(dlq->command, rc);
}

// Asks the query worker, in this program's own name: the caller's key may have no inbox here.
static void ask_dlq(struct hooks *hooks, struct command *command, Hr__ListDlq *wanted, dlq_fn done,
                    void *ctx)
{
    struct dlq *dlq = arena_calloc(command->arena, 1, sizeof *dlq);
    Text payload = wire_pack(command->arena, &wanted->base);
    char subject[SUBJECT_BYTES];
    const struct request request = {.subject = subject,
                                    .lane = "dlq",
                                    .inbox = run_name(hooks->run),
                                    .data = payload.data,
                                    .len = payload.len,
                                    .timeout_ms = QUERY_TIMEOUT_MS,
                                    .done = on_dlq,
                                    .ctx = dlq};

    *dlq = (struct dlq){command, done, ctx};
    subject_command(subject, command->tenant, run_name(hooks->run), "hook", "dlq");
    request_send(run_requests(hooks->run), &request);
}

static struct record_name name_of(struct arena *arena, const char *tenant,
                                  const Hr__DlqEntry *entry)
{
    return (struct record_name){tenant,
                                arena_copy(arena, entry->webhook_id.data, entry->webhook_id.len),
                                arena_copy(arena, entry->id.data, entry->id.len)};
}

// --- all of them ---------------------------------------------------------------------------------

struct retry_all {
    struct hooks *hooks;
    struct command *command;
    size_t waiting;
    int64_t retried;
    int64_t succeeded;
};

static void finish_all(struct retry_all *all)
{
    Hr__RetriedAll *reply;

    if (--all->waiting > 0)
        return;
    reply = wire_new(all->command->arena, &hr__retried_all__descriptor);
    reply->has_retried = reply->has_succeeded = reply->has_failed = true;
    reply->retried = all->retried;
    reply->succeeded = all->succeeded;
    reply->failed = all->retried - all->succeeded;
    command_reply(all->command, &reply->base, 0);
}

static void on_one_of_all(void *ctx, const struct replay *replay, enum rc rc)
{
    struct retry_all *all = ctx;

    if (rc != RC_NOT_FOUND) // otherwise there was nothing to retry any more
        all->retried++;
    all->succeeded += rc == RC_OK && replay->succeeded;
    finish_all(all);
}

static void on_all_listed(void *ctx, const Hr__DlqList *list)
{
    struct retry_all *all = ctx;
    struct arena *arena = all->command->arena;

    all->waiting = list->n_items + 1;
    for (size_t i = 0; i < list->n_items; i++) {
        struct replay *replay = arena_calloc(arena, 1, sizeof *replay);

        *replay = (struct replay){.hooks = all->hooks,
                                  .arena = arena,
                                  .name = name_of(arena, all->command->tenant, list->items[i]),
                                  .done = on_one_of_all,
                                  .ctx = all};
        replay_start(replay);
    }
    finish_all(all);
}

void replay_on_retry_all(void *ctx, struct command *command)
{
    struct retry_all *all = arena_calloc(command->arena, 1, sizeof *all);
    Hr__ListDlq *wanted = wire_new(command->arena, &hr__list_dlq__descriptor);

    all->hooks = ctx;
    all->command = command;
    wanted->has_limit = true;
    wanted->limit = ALL_MAX;
    ask_dlq(all->hooks, command, wanted, on_all_listed, all);
}

// --- recovery ------------------------------------------------------------------------------------

struct recover {
    struct hooks *hooks;
    struct command *command;
    char key[HOOK_KEY_BYTES];
    const char *hook_id;
    size_t waiting;
    int64_t put_back;
    uint64_t first; // sequence of the first record that was written; 0: none
};

struct recover_one {
    struct recover *recover;
    struct record_name name;
};

static void on_recovered(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct recover *recover = ctx;
    Hr__Recovered *reply = wire_new(recover->command->arena, &hr__recovered__descriptor);

    (void)hook;
    if (rc != RC_OK) {
        command_fail(recover->command, rc);
        return;
    }
    reply->has_recovered = true;
    reply->recovered = recover->put_back;
    command_reply(recover->command, &reply->base, 0);
}

static bool note_put_back(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    const struct recover *recover = ctx;

    (void)arena;
    if (recover->first == 0)
        return false;
    hook->has_requeued = true;
    hook->requeued = recover->first;
    return true;
}

static void finish_recover(struct recover *recover)
{
    if (--recover->waiting == 0)
        registry_edit(recover->hooks->registry, recover->key, recover->command->arena,
                      note_put_back, on_recovered, recover);
}

static void on_put_back(void *ctx, enum rc rc, uint64_t sequence)
{
    struct recover_one *one = ctx;
    struct recover *recover = one->recover;

    if (rc == RC_OK) {
        recover->put_back++;
        if (recover->first == 0 || sequence < recover->first)
            recover->first = sequence;
    }
    finish_recover(recover);
}

static void on_dead_letter(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct recover_one *one = ctx;
    struct recover *recover = one->recover;

    if (rc != RC_OK || !text_is(record->delivery->status, "dead_letter")) {
        finish_recover(recover);
        return;
    }
    record->delivery->status = text_of("pending");
    record->delivery->attempts = 0;
    record->delivery->next_retry_at = NULL;
    record->delivery->updated_at = wire_timestamp(recover->command->arena, timestamp_now_us());
    records_put(recover->hooks->records, &one->name, record, sequence, on_put_back, one);
}

static void on_failed_listed(void *ctx, const Hr__DlqList *list)
{
    struct recover *recover = ctx;
    struct arena *arena = recover->command->arena;

    recover->waiting = list->n_items + 1;
    for (size_t i = 0; i < list->n_items; i++) {
        struct recover_one *one = arena_calloc(arena, 1, sizeof *one);

        one->recover = recover;
        one->name = name_of(arena, recover->command->tenant, list->items[i]);
        records_load(recover->hooks->records, &one->name, arena, on_dead_letter, one);
    }
    finish_recover(recover);
}

static void on_recover_hook(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct recover *recover = ctx;
    struct command *command = recover->command;
    const Hr__RecoverHook *request = (const Hr__RecoverHook *)command->request;
    Hr__ListDlq *wanted = wire_new(command->arena, &hr__list_dlq__descriptor);
    struct problem problem;

    if (rc == RC_NOT_FOUND) {
        hooks_refuse_unknown(command, request->hook_id);
    } else if (rc != RC_OK) {
        command_fail(command, rc);
    } else if (!hook->active) {
        (void)problem_set(&problem, command->arena, PROBLEM_ALREADY_INACTIVE,
                          "Webhook %s is inactive", recover->hook_id);
        command_refuse(command, &problem);
    } else {
        wanted->has_limit = true;
        wanted->limit = RECOVER_MAX;
        wanted->has_hook_id = true;
        wanted->hook_id = request->hook_id;
        wanted->since = request->since;
        ask_dlq(recover->hooks, command, wanted, on_failed_listed, recover);
    }
}

void replay_on_recover(void *ctx, struct command *command)
{
    const Hr__RecoverHook *request = (const Hr__RecoverHook *)command->request;
    struct recover *recover = arena_calloc(command->arena, 1, sizeof *recover);

    recover->hooks = ctx;
    recover->command = command;
    recover->hook_id = arena_copy(command->arena, request->hook_id.data, request->hook_id.len);
    if (request->hook_id.len == 0) {
        hooks_refuse_unknown(command, text_of("(none)"));
        return;
    }
    registry_key(recover->key, command->tenant, recover->hook_id);
    registry_edit(recover->hooks->registry, recover->key, command->arena, keep, on_recover_hook,
                  recover);
}

// --- test ----------------------------------------------------------------------------------------

struct test {
    struct hooks *hooks;
    struct command *command;
    const char *id; // of the delivery
    Text body;
};

static void on_tested(void *ctx, const struct sender_result *result)
{
    struct test *test = ctx;
    struct arena *arena = test->command->arena;
    Hr__TestedHook *reply = wire_new(arena, &hr__tested_hook__descriptor);

    reply->has_hook_id = true;
    reply->hook_id = ((const Hr__HookRef *)test->command->request)->hook_id;
    reply->has_delivered = true;
    reply->delivered = attempt_succeeded(result);
    reply->has_status_code = result->status != 0;
    reply->status_code = result->status;
    reply->has_error = result->status == 0;
    reply->error = text_of(arena_copy(arena, result->error, strlen(result->error)));
    reply->took_ms = milliseconds(arena, result->took_us);
    command_reply(test->command, &reply->base, 0);
}

static void on_test_hook(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct test *test = ctx;
    const struct attempt_request request = {
        .hook = hook,
        .delivery_id = test->id,
        .event = "webhook.test",
        .body = test->body,
        .done = on_tested,
        .ctx = test,
    };

    if (rc == RC_OK)
        rc = attempt_start(&test->hooks->attempts, &request, test->command->arena);
    if (rc == RC_NOT_FOUND)
        hooks_refuse_unknown(test->command, ((const Hr__HookRef *)test->command->request)->hook_id);
    else if (rc != RC_OK)
        command_fail(test->command, rc);
}

void replay_on_test(void *ctx, struct command *command)
{
    const Hr__HookRef *request = (const Hr__HookRef *)command->request;
    struct test *test = arena_calloc(command->arena, 1, sizeof *test);
    char *id = arena_alloc(command->arena, UUID_TEXT_BYTES);
    struct uuid uuid = uuid_new();
    char at[TIMESTAMP_TEXT_BYTES];
    char key[HOOK_KEY_BYTES];

    if (request->hook_id.len == 0) {
        hooks_refuse_unknown(command, text_of("(none)"));
        return;
    }
    test->hooks = ctx;
    test->command = command;
    uuid_format(id, &uuid);
    test->id = id;
    timestamp_format(at, timestamp_now_us());
    test->body = text_of(arena_printf(command->arena,
                                      "{\"event\":\"webhook.test\",\"timestamp\":\"%s\","
                                      "\"packet_id\":null,\"status\":null,\"metadata\":{}}",
                                      at));
    registry_key(key, command->tenant,
                 arena_copy(command->arena, request->hook_id.data, request->hook_id.len));
    registry_edit(test->hooks->registry, key, command->arena, keep, on_test_hook, test);
}
