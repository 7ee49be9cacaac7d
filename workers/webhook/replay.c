// A replay is one attempt, made by the one who was asked: a dead letter holds nothing else back, so
// it needs no place in the queue. Its record is written on condition, so two replays at once are
// two attempts and one outcome.
#include "workers/webhook/replay.h"

#include "broker/message/json_write.h"
#include "broker/rail/answers.h"
#include "workers/webhook/hook_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ALL_MAX 100
#define ALL_AT_ONCE 8
#define ALL_BEGIN_MS 40000 // of those of a list that can be begun, less than the gateway waits
#define BUSY_US 60000000
#define BUSY_SECONDS 5 // before somebody who finds too many waiting should ask again
#define QUERY_TIMEOUT_MS 5000

const struct turns_limits replay_limits = {
    .total = 32, .per_hook = 8, .waiting = 128, .waiting_per_hook = 32};

static void refuse_busy(struct answer *answer, struct arena *arena)
{
    struct problem problem;

    (void)problem_set(&problem, arena, PROBLEM_UNAVAILABLE, "Too many attempts wait already");
    problem.retry_after_seconds = BUSY_SECONDS;
    answer_refuse(answer, &problem);
}

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
    char key[HOOK_KEY_BYTES];
    struct turn turn;
    Hr__DeliveryRecord *record;
    uint64_t sequence;
    bool succeeded;
    void (*done)(void *ctx, const struct replay *replay, enum rc rc); // RC_NOT_FOUND: not one
    void *ctx;
};

static void replay_end(struct replay *replay, enum rc rc)
{
    turns_end(&replay->hooks->turns, &replay->turn);
    replay->done(replay->ctx, replay, rc);
}

static void on_replay_written(void *ctx, enum rc rc, uint64_t sequence)
{
    struct replay *replay = ctx;

    (void)sequence;
    replay_end(replay, rc == RC_CONFLICT ? RC_NOT_FOUND : rc);
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
        .record = replay->record,
        .done = on_replay_result,
        .ctx = replay,
    };

    if (rc == RC_OK && !hook->active)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK)
        rc = attempt_start(&replay->hooks->attempts, &request, replay->arena);
    if (rc != RC_OK)
        replay_end(replay, rc);
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

    if (rc == RC_OK && !text_is(record->delivery->status, "dead_letter"))
        rc = RC_NOT_FOUND;
    if (rc != RC_OK) {
        replay_end(replay, rc);
        return;
    }
    replay->record = record;
    replay->sequence = sequence;
    registry_edit(replay->hooks->registry, replay->key, replay->arena, keep, on_replay_hook,
                  replay);
}

static void on_replay_turn(struct turn *turn)
{
    struct replay *replay = (struct replay *)((char *)turn - offsetof(struct replay, turn));

    records_load(replay->hooks->records, &replay->name, replay->arena, on_replay_loaded, replay);
}

static void replay_start(struct replay *replay)
{
    registry_key(replay->key, replay->name.tenant, replay->name.hook_id);
    replay->turn = (struct turn){.hook = replay->key, .begin = on_replay_turn};
    turns_ask(&replay->hooks->turns, &replay->turn);
}

// --- one by its id -------------------------------------------------------------------------------

struct replay_command {
    struct command *command;
    struct answer *answer;
    const char *id;
    struct replay replay;
    struct record_subject subject;
};

static void no_letter(struct problem *problem, struct arena *arena, Text id)
{
    (void)problem_set(problem, arena, PROBLEM_NOT_FOUND,
                      "DLQ entry %.*s not found, not in dead_letter status, or webhook inactive",
                      TEXT_ARGS(id));
}

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
        answer_reply(one->answer, &reply->base);
    } else if (rc == RC_OK || rc == RC_NOT_FOUND) {
        no_letter(&problem, arena, text_of(one->id));
        answer_refuse(one->answer, &problem);
    } else {
        answer_fail(one->answer, rc);
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
        answer_fail(one->answer, rc);
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
    registry_key(one->replay.key, one->command->tenant, one->subject.hook_id);
    if (turns_are_full(&one->replay.hooks->turns, one->replay.key))
        refuse_busy(one->answer, arena);
    else
        replay_start(&one->replay);
}

static void on_replay(void *ctx, struct answer *answer)
{
    struct replay_command *one = ctx;
    struct hooks *hooks = one->replay.hooks;
    char body[SUBJECT_BYTES + 64];
    const struct request find = {.subject = "$JS.API.STREAM.MSG.GET." STREAM_DELIVERIES,
                                 .inbox = run_name(hooks->run),
                                 .data = body,
                                 .timeout_ms = QUERY_TIMEOUT_MS,
                                 .done = on_found,
                                 .ctx = one};
    struct request sent = find;

    one->answer = answer;
    sent.len =
        (size_t)snprintf(body, sizeof body, "{\"last_by_subj\":\"hr.v1.delivery.*.%s.*.%s\"}",
                         one->command->tenant, one->id);
    request_send(run_requests(hooks->run), &sent);
}

void replay_on_replay(void *ctx, struct command *command)
{
    static const struct answers_spec spec = {&hr__replayed__descriptor, BUSY_US};
    const Hr__ReplayDelivery *request = (const Hr__ReplayDelivery *)command->request;
    struct replay_command *one = arena_calloc(command->arena, 1, sizeof *one);
    struct hooks *hooks = ctx;
    struct problem problem;

    if (request->delivery_id.len == 0) {
        no_letter(&problem, command->arena, request->delivery_id);
        command_refuse(command, &problem);
        return;
    }
    one->command = command;
    one->id = arena_copy(command->arena, request->delivery_id.data, request->delivery_id.len);
    one->replay = (struct replay){
        .hooks = hooks,
        .arena = command->arena,
        .name = {.tenant = command->tenant, .delivery_id = one->id},
        .done = on_replayed,
        .ctx = one
    };
    answers_begin(hooks->run, command, &spec, on_replay, one);
}

// --- all of them ---------------------------------------------------------------------------------

struct retry_all {
    struct hooks *hooks;
    struct command *command;
    struct answer *answer;
    const Hr__DlqList *list; // the one that failed last comes first
    size_t left;             // of it, from its beginning: not begun
    size_t running;
    bool beginning;      // in begin_some
    int64_t deadline_ns; // none is begun after it
    int64_t retried;
    int64_t succeeded;
};

static void reply_all(struct retry_all *all)
{
    Hr__RetriedAll *reply = wire_new(all->command->arena, &hr__retried_all__descriptor);

    reply->has_retried = reply->has_succeeded = reply->has_failed = true;
    reply->retried = all->retried;
    reply->succeeded = all->succeeded;
    reply->failed = all->retried - all->succeeded;
    answer_reply(all->answer, &reply->base);
}

static void begin_some(struct retry_all *all);

static void on_one_of_all(void *ctx, const struct replay *replay, enum rc rc)
{
    struct retry_all *all = ctx;

    all->running--;
    if (rc != RC_NOT_FOUND) // otherwise there was nothing to retry any more
        all->retried++;
    all->succeeded += rc == RC_OK && replay->succeeded;
    begin_some(all);
}

static void begin_one(struct retry_all *all)
{
    struct arena *arena = all->command->arena;
    const Hr__DlqEntry *entry = all->list->items[--all->left];
    struct replay *replay = arena_calloc(arena, 1, sizeof *replay);

    *replay = (struct replay){
        .hooks = all->hooks,
        .arena = arena,
        .name = {all->command->tenant,
                 arena_copy(arena, entry->webhook_id.data, entry->webhook_id.len),
                 arena_copy(arena, entry->id.data, entry->id.len)},
        .done = on_one_of_all,
        .ctx = all
    };
    all->running++;
    replay_start(replay);
}

// One may end before it has begun, which comes back here: the call outside goes on.
static void begin_some(struct retry_all *all)
{
    if (all->beginning)
        return;
    all->beginning = true;
    while (all->left > 0 && all->running < ALL_AT_ONCE && clock_now_ns() < all->deadline_ns)
        begin_one(all);
    all->beginning = false;
    if (all->running == 0)
        reply_all(all);
}

static void on_dlq(void *ctx, enum rc rc, struct msg *reply)
{
    struct retry_all *all = ctx;
    ProtobufCMessage *list = NULL;

    if (rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) != NULL)
        rc = RC_UNAVAILABLE;
    if (rc == RC_OK)
        rc = wire_unpack(&list, all->command->arena, &hr__dlq_list__descriptor, msg_data(reply),
                         msg_len(reply));
    if (rc != RC_OK) {
        answer_fail(all->answer, rc);
        return;
    }
    all->list = (const Hr__DlqList *)list;
    all->left = all->list->n_items;
    all->deadline_ns = clock_now_ns() + ALL_BEGIN_MS * 1000000LL;
    begin_some(all);
}

// Asks the query worker, in this program's own name: the caller's key may have no inbox here.
static void on_retry_all(void *ctx, struct answer *answer)
{
    struct retry_all *all = ctx;
    struct arena *arena = all->command->arena;
    struct run *run = all->hooks->run;
    Hr__ListDlq *wanted = wire_new(arena, &hr__list_dlq__descriptor);
    char subject[SUBJECT_BYTES];
    Text payload;

    all->answer = answer;
    if (turns_are_full(&all->hooks->turns, NULL)) {
        refuse_busy(answer, arena);
        return;
    }
    wanted->has_limit = true;
    wanted->limit = ALL_MAX;
    payload = wire_pack(arena, &wanted->base);
    subject_command(subject, all->command->tenant, run_name(run), "hook", "dlq");
    request_send(run_requests(run), &(struct request){.subject = subject,
                                                      .inbox = run_name(run),
                                                      .data = payload.data,
                                                      .len = payload.len,
                                                      .timeout_ms = QUERY_TIMEOUT_MS,
                                                      .done = on_dlq,
                                                      .ctx = all});
}

void replay_on_retry_all(void *ctx, struct command *command)
{
    static const struct answers_spec spec = {&hr__retried_all__descriptor, BUSY_US};
    struct retry_all *all = arena_calloc(command->arena, 1, sizeof *all);

    all->hooks = ctx;
    all->command = command;
    answers_begin(all->hooks->run, command, &spec, on_retry_all, all);
}

// --- test ----------------------------------------------------------------------------------------

struct test {
    struct hooks *hooks;
    struct command *command;
    struct answer *answer;
    char key[HOOK_KEY_BYTES];
    struct turn turn;
    const Hr__Hook *hook;
    const char *id; // of the delivery
    Text body;
};

static void on_tested(void *ctx, const struct sender_result *result)
{
    struct test *test = ctx;
    struct arena *arena = test->command->arena;
    Hr__TestedHook *reply = wire_new(arena, &hr__tested_hook__descriptor);

    turns_end(&test->hooks->turns, &test->turn);
    reply->has_hook_id = true;
    reply->hook_id = ((const Hr__HookRef *)test->command->request)->hook_id;
    reply->has_delivered = true;
    reply->delivered = attempt_succeeded(result);
    reply->has_status_code = result->status != 0;
    reply->status_code = result->status;
    reply->has_error = result->status == 0;
    reply->error = text_of(arena_copy(arena, result->error, strlen(result->error)));
    reply->took_ms = milliseconds(arena, result->took_us);
    answer_reply(test->answer, &reply->base);
}

static void on_test_turn(struct turn *turn)
{
    struct test *test = (struct test *)((char *)turn - offsetof(struct test, turn));
    const struct attempt_request request = {
        .hook = test->hook,
        .delivery_id = test->id,
        .event = "webhook.test",
        .body = test->body,
        .done = on_tested,
        .ctx = test,
    };
    enum rc rc = attempt_start(&test->hooks->attempts, &request, test->command->arena);

    if (rc == RC_OK)
        return;
    turns_end(&test->hooks->turns, turn);
    answer_fail(test->answer, rc == RC_NOT_FOUND ? RC_INTERNAL : rc);
}

static void on_test_hook(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct test *test = ctx;
    struct arena *arena = test->command->arena;
    struct problem problem;

    if (rc == RC_NOT_FOUND) {
        hooks_unknown(&problem, arena, ((const Hr__HookRef *)test->command->request)->hook_id);
        answer_refuse(test->answer, &problem);
    } else if (rc != RC_OK) {
        answer_fail(test->answer, rc);
    } else if (turns_are_full(&test->hooks->turns, test->key)) {
        refuse_busy(test->answer, arena);
    } else {
        test->hook = hook;
        test->turn = (struct turn){.hook = test->key, .begin = on_test_turn};
        turns_ask(&test->hooks->turns, &test->turn);
    }
}

static void on_test(void *ctx, struct answer *answer)
{
    struct test *test = ctx;
    struct arena *arena = test->command->arena;
    char *id = arena_alloc(arena, UUID_TEXT_BYTES);
    struct uuid uuid = uuid_new();
    char at[TIMESTAMP_TEXT_BYTES];

    test->answer = answer;
    uuid_format(id, &uuid);
    test->id = id;
    timestamp_format(at, timestamp_now_us());
    test->body = text_of(arena_printf(arena,
                                      "{\"event\":\"webhook.test\",\"timestamp\":\"%s\","
                                      "\"packet_id\":null,\"status\":null,\"metadata\":{}}",
                                      at));
    registry_edit(test->hooks->registry, test->key, arena, keep, on_test_hook, test);
}

void replay_on_test(void *ctx, struct command *command)
{
    static const struct answers_spec spec = {&hr__tested_hook__descriptor, BUSY_US};
    const Hr__HookRef *request = (const Hr__HookRef *)command->request;
    struct test *test = arena_calloc(command->arena, 1, sizeof *test);

    if (request->hook_id.len == 0) {
        hooks_refuse_unknown(command, text_of("(none)"));
        return;
    }
    test->hooks = ctx;
    test->command = command;
    registry_key(test->key, command->tenant,
                 arena_copy(command->arena, request->hook_id.data, request->hook_id.len));
    answers_begin(test->hooks->run, command, &spec, on_test, test);
}
