// The change engine against a store in memory, which this file links in the place of the real one.
#include "broker/rail/change.h"
#include "broker/rail/inbox.h"

#include "broker/base/id.h"
#include "broker/message/check.h"
#include "broker/message/json_write.h"
#include "broker/rail/version.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TENANT "acme"
#define RECORDS_MAX 256
#define APPENDS_MAX 256

// --- the fake store ------------------------------------------------------------------------------

enum act {
    ACT_STORE,       // as the real one does when all is well
    ACT_LOSE_ANSWER, // does its work, and nobody hears of it
    ACT_DROP,        // does nothing, and nobody hears of that
    ACT_RIVAL,       // lets rival() go first
    ACT_FAIL,        // answers with fail_rc
};

struct row {
    char packet_id[UUID_TEXT_BYTES];
    void *bytes;
    size_t len;
    bool gone; // retention took it: it is known by its event alone
};

struct call {
    uint64_t expected;
    void *bytes;
    size_t len;
};

static struct {
    struct row rows[RECORDS_MAX]; // a row's sequence is its index + 1
    size_t row_count;
    struct call appends[APPENDS_MAX]; // without those of rivals
    size_t append_count;
    enum act acts[APPENDS_MAX]; // what the next appends meet
    enum rc fail_rc;
    void (*rival)(void);
    bool rival_acts;
    enum rc load_rc; // RC_OK: loads work
    size_t loads_at;
    enum rc version_rc; // RC_OK: Postgres has it
    bool replicated;
    size_t behind;      // so many records the next loads do not know yet
    size_t stale_loads; // and so many loads are like that
    size_t lasts;       // times that the leader was asked
} fake;

static struct arena *memory;

static void set_up(void)
{
    memset(&fake, 0, sizeof fake);
    memory = arena_create(64 * 1024);
}

static void tear_down(void)
{
    for (size_t i = 0; i < fake.row_count; i++)
        free(fake.rows[i].bytes);
    for (size_t i = 0; i < fake.append_count; i++)
        free(fake.appends[i].bytes);
    arena_destroy(memory);
}

TestSuite(change, .init = set_up, .fini = tear_down);

static void *copy_of(const void *data, size_t len)
{
    void *copy = malloc(len > 0 ? len : 1);

    cr_assert_not_null(copy);
    memcpy(copy, data, len);
    return copy;
}

static uint64_t last_sequence(const char *packet_id)
{
    for (size_t i = fake.row_count; i > 0; i--) {
        if (strcmp(fake.rows[i - 1].packet_id, packet_id) == 0)
            return i;
    }
    return 0;
}

static struct stored load_row(uint64_t sequence, struct arena *arena)
{
    const struct row *row = &fake.rows[sequence - 1];
    ProtobufCMessage *message;
    struct stored stored = {.sequence = sequence};
    const char *bytes = arena_copy(arena, row->bytes, row->len); // as the real one: they are kept

    cr_assert_eq(wire_unpack(&message, arena, &hr__packet_record__descriptor, bytes, row->len),
                 RC_OK);
    stored.record = (Hr__PacketRecord *)message;
    message_complete(&stored.record->packet->base, arena);
    if (stored.record->packet->claim != NULL && !stored.record->packet->claim->has_generation) {
        stored.record->packet->claim->has_generation = true;
        stored.record->packet->claim->generation = sequence;
    }
    return stored;
}

// What the replica that answers knows.
static uint64_t last_known(const char *packet_id)
{
    size_t count = fake.row_count;
    uint64_t sequence;

    if (fake.stale_loads > 0 && !fake.rival_acts) {
        fake.stale_loads--;
        fake.row_count -= fake.behind;
    }
    sequence = last_sequence(packet_id);
    fake.row_count = count;
    return sequence;
}

bool store_is_replicated(const struct store *store)
{
    (void)store;
    return fake.replicated;
}

void store_last(struct store *store, const char *tenant, const char *packet_id,
                store_appended_fn done, void *ctx)
{
    (void)store;
    cr_assert_str_eq(tenant, TENANT);
    fake.lasts++;
    done(ctx, RC_OK, last_sequence(packet_id));
}

void store_load(struct store *store, const char *tenant, const char *packet_id, struct arena *arena,
                store_loaded_fn done, void *ctx)
{
    uint64_t sequence = last_known(packet_id);
    struct stored stored = {0};

    (void)store;
    cr_assert_str_eq(tenant, TENANT);
    if (fake.load_rc != RC_OK && !fake.rival_acts) {
        done(ctx, fake.load_rc, &stored);
        return;
    }
    if (sequence > 0)
        stored = load_row(sequence, arena);
    done(ctx, sequence > 0 ? RC_OK : RC_NOT_FOUND, &stored);
}

void store_load_at(struct store *store, const char *tenant, const char *packet_id,
                   uint64_t sequence, struct arena *arena, store_loaded_fn done, void *ctx)
{
    struct stored stored = {0};
    enum rc rc = RC_NOT_FOUND;

    (void)store;
    (void)tenant;
    fake.loads_at++;
    if (fake.stale_loads > 0) {
        fake.stale_loads--;
    } else if (!fake.rows[sequence - 1].gone) {
        cr_assert_str_eq(fake.rows[sequence - 1].packet_id, packet_id);
        stored = load_row(sequence, arena);
        rc = RC_OK;
    }
    done(ctx, rc, &stored);
}

void version_load(struct store *store, const char *tenant, const Hr__AncestorRef *ref,
                  struct arena *arena, version_loaded_fn done, void *ctx)
{
    struct stored stored = load_row(ref->sequence, arena);

    (void)store;
    cr_assert_str_eq(tenant, TENANT);
    cr_assert(text_is(ref->packet_id, fake.rows[ref->sequence - 1].packet_id));
    cr_assert(text_equal(ref->event_id, stored.record->event->id));
    done(ctx, fake.version_rc, fake.version_rc == RC_OK ? stored.record->packet : NULL);
}

static enum rc append_row(const char *packet_id, uint64_t expected, const void *data, size_t len)
{
    struct row *row = &fake.rows[fake.row_count];

    if (last_sequence(packet_id) != expected)
        return RC_CONFLICT;
    cr_assert_lt(fake.row_count, RECORDS_MAX);
    memcpy(row->packet_id, packet_id, sizeof row->packet_id);
    row->bytes = copy_of(data, len);
    row->len = len;
    fake.row_count++;
    return RC_OK;
}

void inbox_tell(struct store *store, const char *tenant, const struct stored *stored)
{
    (void)store;
    (void)tenant;
    (void)stored;
}

void store_append(struct store *store, const struct append *append, store_appended_fn done,
                  void *ctx)
{
    enum act act = ACT_STORE;
    enum rc rc;

    (void)store;
    cr_assert_str_eq(append->tenant, TENANT);
    if (!fake.rival_acts) {
        cr_assert_lt(fake.append_count, APPENDS_MAX);
        act = fake.acts[fake.append_count];
        fake.appends[fake.append_count++] =
            (struct call){append->expected, copy_of(append->data, append->len), append->len};
    }
    if (act == ACT_RIVAL) {
        fake.rival_acts = true;
        fake.rival();
        fake.rival_acts = false;
    }
    if (act == ACT_DROP || act == ACT_FAIL) {
        done(ctx, act == ACT_DROP ? RC_TIMEOUT : fake.fail_rc, 0);
        return;
    }
    rc = append_row(append->packet_id, append->expected, append->data, append->len);
    if (act == ACT_LOSE_ANSWER)
        rc = RC_TIMEOUT;
    done(ctx, rc, rc == RC_OK ? fake.row_count : 0);
}

// --- commands ------------------------------------------------------------------------------------

struct outcome {
    size_t calls;
    enum rc rc;
    struct stored stored;
    struct problem problem;
};

static void on_done(void *ctx, enum rc rc, const struct stored *stored,
                    const struct problem *problem)
{
    struct outcome *outcome = ctx;

    outcome->calls++;
    outcome->rc = rc;
    if (rc == RC_OK)
        outcome->stored = *stored;
    else
        outcome->problem = *problem;
}

static struct outcome run_spec(struct change_spec spec)
{
    struct change_spec *kept = arena_alloc(memory, sizeof *kept);
    struct outcome outcome = {0};

    *kept = spec;
    kept->tenant = TENANT;
    kept->key_id = "k1";
    change_run(NULL, kept, memory, on_done, &outcome);
    cr_assert_eq(outcome.calls, 1, "answered %zu times", outcome.calls);
    return outcome;
}

static struct outcome create_with(const char *key, const char *json)
{
    return run_spec(
        (struct change_spec){.verb = "create",
                             .idempotency_key = key,
                             .decide = decide_create,
                             .request = message_of(memory, &hr__create_packet__descriptor, json)});
}

static struct outcome create(const char *key)
{
    return create_with(key, create_body(memory, ""));
}

static struct outcome claim_with(const char *id, const char *key, const char *agent)
{
    return run_spec((struct change_spec){
        .verb = "claim",
        .packet_id = id,
        .idempotency_key = key,
        .decide = decide_claim,
        .request = message_of(
            memory, &hr__claim_packet__descriptor,
            arena_printf(memory, "{\"agent_id\":\"%s\",\"agent_name\":\"%s\"}", agent, agent))});
}

static struct outcome update_if(const char *id, const char *key, uint64_t if_match,
                                const char *json)
{
    return run_spec(
        (struct change_spec){.verb = "update",
                             .packet_id = id,
                             .idempotency_key = key,
                             .if_match = if_match,
                             .decide = decide_update,
                             .request = message_of(memory, &hr__update_packet__descriptor, json)});
}

static struct outcome update(const char *id, const char *json)
{
    return update_if(id, NULL, 0, json);
}

static const char *id_of(const struct outcome *outcome)
{
    const Text id = outcome->stored.record->packet->id;

    return arena_copy(memory, id.data, id.len);
}

// A packet to change, made before the acts of a test begin.
static const char *packet_id;

static void make_packet(void)
{
    struct outcome outcome;

    fake.rival_acts = true;
    outcome = create(NULL);
    fake.rival_acts = false;
    cr_assert_eq(outcome.rc, RC_OK);
    packet_id = id_of(&outcome);
}

static void assert_stored(const struct outcome *outcome, uint64_t sequence)
{
    cr_assert_eq(outcome->rc, RC_OK, "%.*s", TEXT_ARGS(outcome->problem.detail));
    cr_assert_eq(outcome->stored.sequence, sequence);
}

static void assert_refused(const struct outcome *outcome, enum problem_code code)
{
    cr_assert_eq(outcome->rc, RC_REFUSED);
    cr_assert_eq(outcome->problem.code, code, "%s", problem_name(outcome->problem.code));
}

static const char *record_json(const struct outcome *outcome)
{
    return json_text_of(memory, &outcome->stored.record->packet->base);
}

static bool same_appends(size_t a, size_t b)
{
    return fake.appends[a].expected == fake.appends[b].expected &&
           fake.appends[a].len == fake.appends[b].len &&
           memcmp(fake.appends[a].bytes, fake.appends[b].bytes, fake.appends[a].len) == 0;
}

// --- what a record holds -------------------------------------------------------------------------

Test(change, stores_the_packet_the_event_and_the_change)
{
    struct outcome outcome = create(NULL);
    const Hr__PacketRecord *record = load_row(1, memory).record;
    struct uuid event_id;
    struct uuid id;

    assert_stored(&outcome, 1);
    cr_assert_eq(fake.appends[0].expected, 0);
    cr_assert_null(uuid_parse(id_of(&outcome), UUID_TEXT_BYTES - 1, &id));
    cr_assert_eq(id.bytes[6] >> 4, 7);
    ASSERT_TEXT(record->event->type, "created");
    ASSERT_TEXT(record->event->actor, "agent:s");
    ASSERT_TEXT(record->event->key_id, "k1");
    ASSERT_TEXT(record->event->details->text, "{}");
    cr_assert_eq(wire_timestamp_us(record->event->at),
                 wire_timestamp_us(record->packet->updated_at));
    cr_assert_null(uuid_parse((char *)record->event->id.data, record->event->id.len, &event_id));
    cr_assert_eq(record->n_recent, 1);
    cr_assert_eq(record->recent[0]->event_id.len, UUID_BYTES);
    cr_assert_eq(memcmp(record->recent[0]->event_id.data, event_id.bytes, UUID_BYTES), 0);
    cr_assert_not(record->recent[0]->has_sequence || record->recent[0]->has_key_digest ||
                  record->recent[0]->has_request_digest);
}

Test(change, appends_under_the_sequence_it_was_decided_on)
{
    struct outcome outcome;

    make_packet();
    make_packet();
    outcome = update(packet_id, "{}");
    assert_stored(&outcome, 3);
    cr_assert_eq(fake.appends[0].expected, 2);
    ASSERT_TEXT(outcome.stored.record->event->type, "updated");
}

Test(change, refuses_what_does_not_exist)
{
    struct outcome outcome = update("0190b5a2-7c3e-7def-8123-456789abcdef", "{}");

    assert_refused(&outcome, PROBLEM_NOT_FOUND);
    ASSERT_TEXT(outcome.problem.detail,
                "\"Packet 0190b5a2-7c3e-7def-8123-456789abcdef not found\"");
    cr_assert_eq(fake.append_count, 0);
}

Test(change, gives_a_claim_the_sequence_of_its_record_as_generation)
{
    struct outcome outcome;

    make_packet();
    make_packet();
    outcome = claim_with(packet_id, NULL, "a");
    assert_stored(&outcome, 3);
    cr_assert_eq(outcome.stored.record->packet->claim->generation, 3);
    outcome = update(packet_id, "{\"status\":\"in_progress\"}");
    assert_stored(&outcome, 4);
    cr_assert_eq(outcome.stored.record->packet->claim->generation, 3,
                 "it is the claim's, for good");
    outcome = update(packet_id, "{}");
    cr_assert_eq(outcome.stored.record->packet->claim->generation, 3);
}

Test(change, remembers_the_creation_and_the_newest_changes)
{
    const Hr__PacketRecord *record;

    (void)create("first");
    packet_id = fake.rows[0].packet_id;
    for (int i = 0; i < 40; i++) {
        struct outcome outcome = update(packet_id, "{}");
        size_t kept = (size_t)i + 2 < CHANGES_KEPT ? (size_t)i + 2 : CHANGES_KEPT;

        assert_stored(&outcome, (uint64_t)i + 2);
        record = outcome.stored.record;
        cr_assert_eq(record->n_recent, kept);
        cr_assert_eq(record->recent[0]->sequence, 1);
        cr_assert(record->recent[0]->has_key_digest);
        cr_assert_not(record->recent[kept - 1]->has_sequence);
        for (size_t k = 1; k < kept - 1; k++)
            cr_assert_eq(record->recent[k]->sequence, (uint64_t)i + 2 - (kept - 1 - k));
    }
}

// --- lost races ----------------------------------------------------------------------------------

static void rival_changes_context(void)
{
    (void)update(packet_id, "{\"context\":{\"summary\":\"the rival's\"}}");
}

static void rival_claims(void)
{
    (void)claim_with(packet_id, NULL, "rival");
}

Test(change, is_made_on_the_new_state_after_a_lost_race)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_changes_context;
    fake.acts[0] = ACT_RIVAL;
    outcome = update(packet_id, "{\"actions\":{\"failed\":[{\"id\":\"1\",\"description\":\"d\","
                                "\"error\":\"ours\"}]}}");
    assert_stored(&outcome, 3);
    cr_assert_eq(fake.appends[1].expected, 2);
    ASSERT_TEXT(outcome.stored.record->packet->context->summary, "the rival's");
    ASSERT_TEXT(outcome.stored.record->packet->actions->failed[0]->error, "ours");
    cr_assert_eq(outcome.stored.record->n_recent, 3);
}

Test(change, is_refused_when_a_lost_race_made_it_illegal)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_claims;
    fake.acts[0] = ACT_RIVAL;
    outcome = claim_with(packet_id, NULL, "us");
    assert_refused(&outcome, PROBLEM_ALREADY_CLAIMED);
    cr_assert_not_null(
        strstr(arena_copy(memory, outcome.problem.detail.data, outcome.problem.detail.len),
               "\"claimed_by\":{\"id\":\"rival\""));
    cr_assert_eq(fake.row_count, 2);
}

Test(change, gives_up_when_it_loses_every_race)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_changes_context;
    for (size_t i = 0; i < APPENDS_MAX; i++)
        fake.acts[i] = ACT_RIVAL;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_CONTENDED);
    cr_assert_eq(outcome.problem.retry_after_seconds, 1);
    cr_assert_eq(fake.append_count, 65);
    cr_assert_eq(fake.row_count, 1 + 65, "all of them the rival's");
}

// Its memory is not that of the change in hand.
static void rival_changes_something(void)
{
    struct arena *own = memory;

    memory = arena_create(64 * 1024);
    (void)update(packet_id, "{}");
    arena_destroy(memory);
    memory = own;
}

Test(change, needs_the_memory_of_two_tries_however_many_races_it_loses)
{
    struct outcome outcome;
    size_t before;

    outcome = create_with(
        NULL, arena_printf(memory,
                           "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                           "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"}},"
                           "\"context\":{\"summary\":\"x\",\"custom\":{\"x\":\"%0100000d\"}}}",
                           0));
    packet_id = id_of(&outcome);
    for (size_t i = 0; i < 60; i++)
        fake.acts[i + 1] = ACT_RIVAL;
    fake.rival = rival_changes_something;
    before = arena_used(memory);
    outcome = claim_with(packet_id, NULL, "coder");
    assert_stored(&outcome, 62);
    ASSERT_TEXT(outcome.stored.record->packet->claim->holder->id, "coder");
    cr_assert_lt(arena_used(memory) - before, 8 * fake.rows[0].len);
}

Test(change, that_was_stored_in_the_last_race_is_not_reported_as_lost)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_changes_context;
    for (size_t i = 0; i < 64; i++)
        fake.acts[i] = ACT_RIVAL;
    fake.acts[64] = ACT_LOSE_ANSWER;
    outcome = update(packet_id, "{}");
    assert_stored(&outcome, 1 + 64 + 1);
}

// --- lost answers --------------------------------------------------------------------------------

Test(change, finds_its_own_record_when_the_answer_was_lost)
{
    struct outcome outcome;

    make_packet();
    fake.acts[0] = ACT_LOSE_ANSWER;
    outcome = claim_with(packet_id, NULL, "a");
    assert_stored(&outcome, 2);
    cr_assert_eq(fake.row_count, 2);
    cr_assert_eq(fake.append_count, 2);
    cr_assert(same_appends(0, 1));
    cr_assert_eq(outcome.stored.record->packet->claim->generation, 2);
}

Test(change, repeats_the_same_bytes_under_the_same_condition)
{
    struct outcome outcome;

    make_packet();
    fake.acts[0] = ACT_DROP;
    fake.acts[1] = ACT_DROP;
    outcome = update(packet_id, "{}");
    assert_stored(&outcome, 2);
    cr_assert_eq(fake.append_count, 3);
    cr_assert(same_appends(0, 1) && same_appends(0, 2));
}

Test(change, finds_its_own_record_below_a_rivals)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_changes_context;
    fake.acts[0] = ACT_LOSE_ANSWER;
    fake.acts[1] = ACT_RIVAL;
    outcome = claim_with(packet_id, NULL, "a");
    assert_stored(&outcome, 2);
    cr_assert_eq(fake.row_count, 3);
    cr_assert_eq(fake.loads_at, 1);
    ASSERT_TEXT(outcome.stored.record->packet->context->summary, "x");
}

Test(change, is_decided_anew_when_a_lost_append_was_never_stored)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_changes_context;
    fake.acts[0] = ACT_DROP;
    fake.acts[1] = ACT_RIVAL;
    outcome = claim_with(packet_id, NULL, "a");
    assert_stored(&outcome, 3);
    ASSERT_TEXT(outcome.stored.record->packet->context->summary, "the rival's");
    cr_assert_eq(fake.append_count, 3);
}

Test(change, finds_a_creation_whose_answer_was_lost)
{
    struct outcome outcome;

    fake.acts[0] = ACT_LOSE_ANSWER;
    outcome = create(NULL);
    assert_stored(&outcome, 1);
    cr_assert_eq(fake.row_count, 1);
}

Test(change, says_so_when_nobody_knows_what_became_of_it)
{
    static const enum rc unknown[] = {RC_UNAVAILABLE, RC_CLOSED};
    struct outcome outcome;

    make_packet();
    for (size_t i = 0; i < 3; i++)
        fake.acts[i] = ACT_DROP;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_OUTCOME_UNKNOWN);
    cr_assert_eq(problem_status(outcome.problem.code), 503);
    cr_assert_eq(fake.append_count, 3);
    for (size_t i = 0; i < 2; i++) {
        fake.acts[fake.append_count] = ACT_FAIL;
        fake.fail_rc = unknown[i];
        outcome = update(packet_id, "{}");
        assert_refused(&outcome, PROBLEM_OUTCOME_UNKNOWN);
    }
    // A refusal that comes after a lost answer does not tell what became of the first try.
    fake.acts[fake.append_count] = ACT_DROP;
    fake.acts[fake.append_count + 1] = ACT_FAIL;
    fake.fail_rc = RC_IO;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_OUTCOME_UNKNOWN);
}

static void rival_breaks_loads(void)
{
    rival_changes_context();
    fake.load_rc = RC_UNAVAILABLE;
}

Test(change, does_not_know_either_when_it_cannot_look)
{
    struct outcome outcome;

    make_packet();
    fake.rival = rival_breaks_loads;
    fake.acts[0] = ACT_LOSE_ANSWER;
    fake.acts[1] = ACT_RIVAL;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_OUTCOME_UNKNOWN);
}

Test(change, knows_that_nothing_was_stored_when_nothing_was_sent_or_it_was_refused)
{
    static const struct {
        enum rc rc;
        enum problem_code code;
    } cases[] = {
        {RC_IO,        PROBLEM_INTERNAL },
        {RC_TOO_LARGE, PROBLEM_TOO_LARGE},
    };
    struct outcome outcome;

    make_packet();
    for (size_t i = 0; i < 2; i++) {
        fake.acts[i] = ACT_FAIL;
        fake.fail_rc = cases[i].rc;
        outcome = update(packet_id, "{}");
        assert_refused(&outcome, cases[i].code);
    }
    fake.load_rc = RC_TIMEOUT;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_UNAVAILABLE);
    fake.load_rc = RC_CORRUPT;
    outcome = update(packet_id, "{}");
    assert_refused(&outcome, PROBLEM_INTERNAL);
    cr_assert_eq(fake.row_count, 1);
}

// --- repeated commands ---------------------------------------------------------------------------

Test(change, creates_once_under_one_key_and_answers_the_same_for_ever)
{
    struct outcome first = create("once");
    struct outcome second = create("once");
    struct uuid id;

    assert_stored(&first, 1);
    assert_stored(&second, 1);
    cr_assert_str_eq(record_json(&first), record_json(&second));
    cr_assert_null(uuid_parse(id_of(&first), UUID_TEXT_BYTES - 1, &id));
    cr_assert_eq(id.bytes[6] >> 4, 8, "made of the key");
    for (int i = 0; i < 30; i++)
        (void)update(id_of(&first), "{\"context\":{\"summary\":\"later\"}}");
    (void)claim_with(id_of(&first), NULL, "a");
    second = create("once");
    assert_stored(&second, 1);
    cr_assert_str_eq(record_json(&first), record_json(&second));
    cr_assert_eq(fake.row_count, 32);
}

Test(change, creates_apart_under_different_keys)
{
    struct outcome first = create("one");
    struct outcome second = create("two");

    cr_assert_str_neq(id_of(&first), id_of(&second));
    cr_assert_eq(fake.row_count, 2);
}

Test(change, refuses_a_key_that_was_used_for_something_else)
{
    struct outcome outcome = create("key");

    packet_id = id_of(&outcome);
    outcome = create_with("key", create_body(memory, ",\"schema_id\":\"other\""));
    assert_refused(&outcome, PROBLEM_KEY_REUSED);
    cr_assert_eq(problem_status(outcome.problem.code), 422);
    outcome = claim_with(packet_id, "key", "a");
    assert_refused(&outcome, PROBLEM_KEY_REUSED);
    outcome = claim_with(packet_id, "second", "a");
    assert_stored(&outcome, 2);
    outcome = claim_with(packet_id, "second", "b");
    assert_refused(&outcome, PROBLEM_KEY_REUSED);
    cr_assert_eq(fake.row_count, 2);
}

static enum rc decide_no(struct decision *decision, const ProtobufCMessage *request)
{
    (void)request;
    return problem_set(&decision->problem, decision->arena, PROBLEM_HANDOFF_LOOP, "not any more");
}

static struct outcome follow_up(const char *key, decide_fn decide)
{
    return run_spec((struct change_spec){
        .verb = "chain",
        .look_first = true,
        .idempotency_key = key,
        .decide = decide,
        .request = message_of(memory, &hr__create_packet__descriptor, create_body(memory, ""))});
}

Test(change, looks_for_a_repeat_before_it_decides_where_it_is_told_to)
{
    struct outcome first = follow_up("key", decide_create);
    struct outcome second;

    assert_stored(&first, 1);
    second = follow_up("key", decide_no);
    assert_stored(&second, 1);
    cr_assert_str_eq(record_json(&first), record_json(&second));
    second = follow_up("other", decide_no);
    assert_refused(&second, PROBLEM_HANDOFF_LOOP);
    second = follow_up(NULL, decide_no);
    assert_refused(&second, PROBLEM_HANDOFF_LOOP);
    second = follow_up("other", decide_create);
    assert_stored(&second, 2);
}

static size_t checks;
static bool check_says_no;

static void check(const struct change_spec *spec, struct store *store, struct arena *arena,
                  change_checked_fn done, void *change)
{
    struct problem problem;

    (void)spec;
    (void)store;
    checks++;
    if (check_says_no)
        (void)problem_set(&problem, arena, PROBLEM_VALIDATION, "no");
    done(change, check_says_no ? &problem : NULL);
}

static struct outcome create_checked(const char *key)
{
    return run_spec((struct change_spec){
        .verb = "create",
        .look_first = true,
        .idempotency_key = key,
        .check = check,
        .decide = decide_create,
        .request = message_of(memory, &hr__create_packet__descriptor, create_body(memory, ""))});
}

Test(change, is_checked_once_and_a_repeat_is_not)
{
    struct outcome outcome;

    fake.acts[0] = ACT_DROP; // decided anew, not checked anew
    fake.acts[1] = ACT_DROP;
    outcome = create_checked("key");
    assert_stored(&outcome, 1);
    cr_assert_eq(checks, 1);
    check_says_no = true;
    outcome = create_checked("key");
    assert_stored(&outcome, 1);
    cr_assert_eq(checks, 1);
    outcome = create_checked("other");
    assert_refused(&outcome, PROBLEM_VALIDATION);
    cr_assert_eq(checks, 2);
    cr_assert_eq(fake.row_count, 1);
}

Test(change, tells_the_same_body_of_two_commands_apart)
{
    struct outcome outcome;

    make_packet();
    outcome = update_if(packet_id, "key", 0, "{}");
    assert_stored(&outcome, 2);
    outcome = run_spec(
        (struct change_spec){.verb = "delete",
                             .packet_id = packet_id,
                             .idempotency_key = "key",
                             .decide = decide_delete,
                             .request = message_of(memory, &hr__packet_ref__descriptor, "{}")});
    assert_refused(&outcome, PROBLEM_KEY_REUSED);
}

Test(change, answers_a_repeat_with_the_record_it_made)
{
    struct outcome first;
    struct outcome second;

    make_packet();
    first = claim_with(packet_id, "key", "a");
    second = claim_with(packet_id, "key", "a");
    assert_stored(&second, 2);
    cr_assert_str_eq(record_json(&first), record_json(&second));
    cr_assert_eq(fake.loads_at, 0, "it is the newest one");
    (void)update(packet_id, "{\"status\":\"in_progress\"}");
    (void)update(packet_id, "{\"status\":\"completed\"}");
    second = claim_with(packet_id, "key", "a");
    assert_stored(&second, 2);
    cr_assert_str_eq(record_json(&first), record_json(&second));
    cr_assert_eq(fake.loads_at, 1);
    cr_assert_eq(fake.row_count, 4);
}

Test(change, answers_a_repeat_whose_record_is_gone_out_of_postgres)
{
    struct outcome outcome;

    make_packet();
    (void)claim_with(packet_id, "key", "a");
    (void)update(packet_id, "{\"status\":\"in_progress\"}");
    fake.rows[1].gone = true;
    outcome = claim_with(packet_id, "key", "a");
    assert_stored(&outcome, 2);
    cr_assert_eq(outcome.stored.record->packet->status, HR__STATUS__STATUS_CLAIMED);
    fake.version_rc = RC_UNAVAILABLE;
    outcome = claim_with(packet_id, "key", "a");
    assert_refused(&outcome, PROBLEM_UNAVAILABLE);
}

Test(change, answers_a_repeat_even_if_it_would_be_refused_by_now)
{
    struct outcome outcome;

    make_packet();
    outcome = update_if(packet_id, "key", 1, "{\"status\":\"failed\"}");
    assert_stored(&outcome, 2);
    outcome = update_if(packet_id, "key", 1, "{\"status\":\"failed\"}");
    assert_stored(&outcome, 2);
}

Test(change, finds_what_an_earlier_try_of_the_client_stored)
{
    struct outcome outcome;

    fake.acts[0] = ACT_LOSE_ANSWER;
    fake.acts[1] = ACT_FAIL;
    fake.fail_rc = RC_UNAVAILABLE;
    outcome = create("key");
    assert_refused(&outcome, PROBLEM_OUTCOME_UNKNOWN);
    outcome = create("key");
    assert_stored(&outcome, 1);
    cr_assert_eq(fake.row_count, 1);
}

// --- If-Match ------------------------------------------------------------------------------------

Test(change, is_made_only_on_the_version_it_names)
{
    struct outcome outcome;

    make_packet();
    outcome = update_if(packet_id, NULL, 1, "{}");
    assert_stored(&outcome, 2);
    outcome = update_if(packet_id, NULL, 1, "{}");
    assert_refused(&outcome, PROBLEM_PRECONDITION_FAILED);
    cr_assert_eq(problem_status(outcome.problem.code), 412);
    fake.rival = rival_changes_context;
    fake.acts[fake.append_count] = ACT_RIVAL;
    outcome = update_if(packet_id, NULL, 2, "{}");
    assert_refused(&outcome, PROBLEM_PRECONDITION_FAILED);
    cr_assert_eq(fake.row_count, 3);
    outcome = update_if("0190b5a2-7c3e-7def-8123-456789abcdef", NULL, 2, "{}");
    assert_refused(&outcome, PROBLEM_NOT_FOUND);
}

// --- replicas ------------------------------------------------------------------------------------

// The next loads are answered by a replica that lacks this many of the newest records.
static void let_replica_be_behind(size_t records, size_t loads)
{
    fake.replicated = true;
    fake.behind = records;
    fake.stale_loads = loads;
}

static struct outcome release(const char *agent)
{
    return run_spec((struct change_spec){
        .verb = "release",
        .packet_id = packet_id,
        .decide = decide_release,
        .request = message_of(memory, &hr__release_claim__descriptor,
                              arena_printf(memory, "{\"agent_id\":\"%s\"}", agent))});
}

Test(change, is_not_refused_because_a_replica_does_not_know_the_packet_yet)
{
    struct outcome outcome;

    make_packet();
    let_replica_be_behind(1, 4); // and the loads at the leader's sequence as well
    outcome = claim_with(packet_id, NULL, "a");
    cr_assert_eq(outcome.rc, RC_OK);
    cr_assert_eq(fake.lasts, 1);
}

Test(change, is_not_refused_for_what_the_packet_was)
{
    struct outcome outcome;

    make_packet();
    cr_assert_eq(claim_with(packet_id, NULL, "a").rc, RC_OK);
    cr_assert_eq(release("a").rc, RC_OK);
    let_replica_be_behind(1, 1); // where it is still claimed
    outcome = claim_with(packet_id, NULL, "b");
    cr_assert_eq(outcome.rc, RC_OK);
}

Test(change, is_refused_with_the_leaders_word)
{
    struct outcome outcome;

    make_packet();
    cr_assert_eq(claim_with(packet_id, NULL, "a").rc, RC_OK);
    let_replica_be_behind(0, 0);
    outcome = claim_with(packet_id, NULL, "b");
    cr_assert_eq(outcome.problem.code, PROBLEM_ALREADY_CLAIMED);
    cr_assert_eq(fake.lasts, 1, "asked once");
    let_replica_be_behind(1, 1); // where it is not claimed yet: the append tells
    outcome = claim_with(packet_id, NULL, "b");
    cr_assert_eq(outcome.problem.code, PROBLEM_ALREADY_CLAIMED);
}

Test(change, that_succeeds_asks_no_leader)
{
    make_packet();
    let_replica_be_behind(0, 0);
    cr_assert_eq(claim_with(packet_id, NULL, "a").rc, RC_OK);
    cr_assert_eq(fake.lasts, 0);
}

Test(change, is_unknown_and_not_refused_while_no_replica_has_what_the_leader_has)
{
    struct outcome outcome;

    make_packet();
    let_replica_be_behind(1, 1000);
    outcome = claim_with(packet_id, NULL, "a");
    cr_assert_eq(outcome.rc, RC_REFUSED);
    cr_assert_eq(outcome.problem.code, PROBLEM_UNAVAILABLE);
}
