// Who may answer a checkpoint, what counts as an answer, and how many it takes.
#include "broker/packet/decide.h"
#include "broker/packet/due.h"
#include "broker/packet/electorate.h"
#include "broker/packet/hitl.h"

#include "tests/unit/messages.h"

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define NOW 1795210145634694

static struct arena *memory;
static struct decision decision;

// Keys a1 and a2 are the group "leads".
static bool is_member(const void *ctx, const char *key_id, Text group)
{
    (void)ctx;
    return text_is(group, "leads") && (strcmp(key_id, "a1") == 0 || strcmp(key_id, "a2") == 0);
}

static size_t member_count(const void *ctx, Text group)
{
    (void)ctx;
    return text_is(group, "leads") ? 2 : 0;
}

static const struct electorate electorate = {NULL, is_member, member_count};

static void set_up(void)
{
    memory = arena_create(16 * 1024);
    decision = (struct decision){
        .arena = memory, .packet_id = ID, .key_id = "asker", .now_us = NOW, .ctx = &electorate};
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(respond, .init = set_up, .fini = tear_down);

// more: members of the checkpoint, each with a comma before it.
static void ask(const char *more)
{
    const char *hitl =
        arena_printf(memory, ",\"hitl\":{\"reason\":\"r\",\"options\":[\"yes\",\"no\"]%s%s}",
                     *more != '\0' ? ",\"approve_options\":[\"yes\"]" : "", more);

    decision.packet = NULL;
    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     create_body(memory, hitl))),
                 RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
}

static enum rc answer_with(const char *key, const char *response, const char *more)
{
    const char *json =
        arena_printf(memory, "{\"response\":\"%s\",\"responded_by\":\"ann\"%s}", response, more);

    decision.key_id = key;
    return decide_respond(&decision, message_of(memory, &hr__respond_packet__descriptor, json));
}

static enum rc answer(const char *key, const char *response)
{
    return answer_with(key, response, "");
}

static void assert_open(void)
{
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    ASSERT_TEXT(decision.event_type, "hitl_voted");
}

static void assert_decided(const char *response)
{
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CLAIMED);
    ASSERT_TEXT(decision.event_type, "hitl_responded");
    ASSERT_TEXT(decision.packet->hitl->response, response);
}

Test(respond, takes_the_first_answer_of_anybody)
{
    ask("");
    cr_assert_eq(answer("whoever", "yes"), RC_OK);
    assert_decided("yes");
    ASSERT_TEXT(decision.actor, "human:ann");
    ASSERT_TEXT(decision.packet->hitl->votes[0]->key_id, "whoever");
    cr_assert_eq(answer("another", "no"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_NOT_AWAITING);
}

Test(respond, wants_one_of_the_options)
{
    ask("");
    cr_assert_eq(answer("k", "perhaps"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
    cr_assert_eq(decision.packet->hitl->n_votes, 0);
    ask(",\"free_form\":true");
    cr_assert_eq(answer("k", "perhaps"), RC_OK);
    assert_decided("perhaps");
}

Test(respond, listens_to_approvers_and_their_groups_alone)
{
    ask(",\"approvers\":[\"boss\",\"group:leads\"]");
    cr_assert_eq(answer("whoever", "yes"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_NOT_APPROVER);
    cr_assert_eq(answer("group:leads", "yes"), RC_REFUSED, "a key of that name is no member");
    cr_assert_eq(answer("a2", "yes"), RC_OK);
    assert_decided("yes");
}

Test(respond, counts_to_the_quorum_and_each_key_once)
{
    ask(",\"approvers\":[\"boss\",\"group:leads\"],\"quorum\":2");
    cr_assert_eq(answer("a1", "yes"), RC_OK);
    assert_open();
    cr_assert_eq(answer("a1", "yes"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_ALREADY_VOTED);
    cr_assert_eq(answer("boss", "yes"), RC_OK);
    assert_decided("yes");
    cr_assert_eq(decision.packet->hitl->n_votes, 2);
}

Test(respond, leaves_out_the_key_that_asked)
{
    ask(",\"approvers\":[\"asker\",\"boss\"],\"quorum\":1");
    decision.packet->hitl->has_requested_by_key = true;
    decision.packet->hitl->requested_by_key = text_of("asker");
    cr_assert_eq(answer("asker", "yes"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_NOT_APPROVER);
    cr_assert_eq(answer("boss", "yes"), RC_OK);
    assert_decided("yes");
}

Test(respond, ends_with_the_first_refusal_unless_a_majority_is_asked_for)
{
    ask(",\"approvers\":[\"boss\",\"a1\",\"a2\"],\"quorum\":2");
    cr_assert_eq(answer("a1", "no"), RC_OK);
    assert_decided("no");
    ask(",\"approvers\":[\"boss\",\"a1\",\"a2\"],\"quorum\":2,\"on_reject\":\"majority\"");
    cr_assert_eq(answer("a1", "no"), RC_OK);
    assert_open();
    cr_assert_eq(answer("a2", "no"), RC_OK);
    assert_decided("no");
}

Test(respond, sees_that_the_quorum_cannot_be_reached_any_more)
{
    ask(",\"approvers\":[\"boss\",\"a1\",\"a2\"],\"quorum\":3,\"on_reject\":\"majority\"");
    cr_assert_eq(answer("a1", "no"), RC_OK);
    assert_decided("no");
}

Test(respond, waits_for_no_vote_of_the_key_that_asked)
{
    ask(",\"approvers\":[\"boss\",\"ann\",\"asker\"],\"quorum\":2,\"on_reject\":\"majority\"");
    decision.packet->hitl->has_requested_by_key = true;
    decision.packet->hitl->requested_by_key = text_of("asker");
    cr_assert_eq(answer("boss", "no"), RC_OK);
    assert_decided("no");
    ask(",\"approvers\":[\"boss\",\"group:leads\"],\"quorum\":2,\"on_reject\":\"majority\"");
    decision.packet->hitl->has_requested_by_key = true;
    decision.packet->hitl->requested_by_key = text_of("a1");
    cr_assert_eq(answer("a2", "no"), RC_OK);
    assert_decided("no");
}

Test(respond, waits_for_nobody_twice)
{
    static const struct due_spec checkpoints = {.kinds = DUE_HITL};

    ask(",\"approvers\":[\"boss\",\"ann\"],\"quorum\":2,\"on_reject\":\"majority\","
        "\"escalation\":[{\"after_seconds\":1,\"to\":\"ann\"}]");
    decision.ctx = &checkpoints;
    decision.now_us = NOW + US_PER_SECOND;
    cr_assert_eq(decide_due(&decision, NULL), RC_OK);
    ASSERT_TEXT(decision.event_type, "hitl_escalated");
    decision.ctx = &electorate;
    cr_assert_eq(answer("ann", "no"), RC_OK);
    assert_decided("no");
}

static enum rc open_with(const char *more)
{
    const char *hitl =
        arena_printf(memory, ",\"hitl\":{\"reason\":\"r\",\"approve_options\":[\"yes\"]%s}", more);

    decision.packet = NULL;
    decision.key_id = "asker";
    return decide_create(
        &decision, message_of(memory, &hr__create_packet__descriptor, create_body(memory, hitl)));
}

static void assert_out_of_reach(enum rc rc)
{
    cr_assert_eq(rc, RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
    ASSERT_TEXT(
        decision.problem.detail,
        "[{\"type\":\"value_error\",\"loc\":[\"body\",\"hitl\"],\"msg\":\"Value error, quorum "
        "cannot be met: the API key that asks has no vote\",\"ctx\":{\"error\":{}}}]");
}

Test(respond, needs_a_quorum_that_can_be_met)
{
    assert_out_of_reach(open_with(",\"approvers\":[\"ann\",\"asker\"],\"quorum\":2"));
    assert_out_of_reach(open_with(",\"approvers\":[\"asker\"]"));
    assert_out_of_reach(open_with(",\"approvers\":[\"ann\",\"asker\"],\"quorum\":2,"
                                  "\"escalation\":[{\"after_seconds\":1,\"to\":\"ann\"}]"));
    cr_assert_eq(open_with(",\"approvers\":[\"ann\",\"bob\",\"asker\"],\"quorum\":2"), RC_OK);
    cr_assert_eq(open_with(",\"approvers\":[\"asker\",\"group:leads\"],\"quorum\":9"), RC_OK,
                 "nobody knows here how many they are");
    cr_assert_eq(open_with(",\"approvers\":[\"ann\",\"asker\"],\"quorum\":2,"
                           "\"escalation\":[{\"after_seconds\":1,\"to\":\"bob\"}]"),
                 RC_OK);
    cr_assert_eq(open_with(",\"approvers\":[\"asker\"],\"timeout_seconds\":1,"
                           "\"on_timeout\":\"escalate_to:bob\""),
                 RC_OK);
    cr_assert_eq(open_with(",\"quorum\":5"), RC_OK, "anyone may answer");
}

Test(respond, needs_it_when_the_checkpoint_is_opened)
{
    static const char awaiting[] = "{\"status\":\"awaiting_human\"}";

    cr_assert_eq(open_with(",\"required\":false,\"approvers\":[\"ann\",\"asker\"],\"quorum\":2"),
                 RC_OK);
    decision.key_id = "bob";
    cr_assert_eq(
        decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, awaiting)),
        RC_OK);
    cr_assert_eq(open_with(",\"required\":false,\"approvers\":[\"ann\",\"asker\"],\"quorum\":2"),
                 RC_OK);
    assert_out_of_reach(
        decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, awaiting)));
}

Test(respond, binds_to_the_subject_or_to_the_edited_one)
{
    Text digest;

    ask(",\"subject\":{\"pay\":10}");
    digest = decision.packet->hitl->subject_digest;
    cr_assert_eq(digest.len, 64);
    cr_assert_eq(answer("k", "yes"), RC_OK);
    cr_assert(text_equal(decision.packet->hitl->subject_digest, digest));
    ask(",\"subject\":{\"pay\":10}");
    cr_assert_eq(answer_with("k", "yes", ",\"subject\":{\"pay\":5}"), RC_OK);
    ASSERT_TEXT(decision.packet->hitl->approved_subject->text, "{\"pay\":5}");
    cr_assert_not(text_equal(decision.packet->hitl->subject_digest, digest));
    ask("");
    cr_assert_eq(answer_with("k", "yes", ",\"subject\":{\"pay\":5}"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
}

Test(respond, counts_edited_subjects_apart)
{
    ask(",\"approvers\":[\"boss\",\"a1\",\"a2\"],\"quorum\":2,\"subject\":{\"pay\":10}");
    cr_assert_eq(answer("boss", "yes"), RC_OK);
    assert_open();
    cr_assert_eq(answer_with("a1", "yes", ",\"subject\":{\"pay\":5}"), RC_OK);
    assert_open();
    cr_assert_eq(answer_with("a2", "yes", ",\"subject\":{\"pay\":5}"), RC_OK);
    assert_decided("yes");
    ASSERT_TEXT(decision.packet->hitl->approved_subject->text, "{\"pay\":5}");
}

// --- what a digest is good for -------------------------------------------------------------------

static enum rc claim_with(Text digest)
{
    const char *json = arena_printf(
        memory, "{\"agent_id\":\"t\",\"agent_name\":\"T\",\"subject_digest\":\"%.*s\"}",
        TEXT_ARGS(digest));

    return decide_claim(&decision, message_of(memory, &hr__claim_packet__descriptor, json));
}

static enum rc complete_with(Text digest)
{
    const char *json = arena_printf(
        memory, "{\"status\":\"completed\",\"subject_digest\":\"%.*s\"}", TEXT_ARGS(digest));

    return decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, json));
}

static void assert_not_approved(enum rc rc)
{
    cr_assert_eq(rc, RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_SUBJECT_MISMATCH);
    ASSERT_TEXT(decision.problem.detail,
                "\"What is about to be done was not approved in packet " ID "\"");
}

Test(respond, approves_what_it_says_yes_to)
{
    ask(",\"subject\":{\"pay\":10}");
    cr_assert_eq(answer("k", "yes"), RC_OK);
    cr_assert_eq(claim_with(decision.packet->hitl->subject_digest), RC_OK);
    cr_assert_eq(complete_with(decision.packet->hitl->subject_digest), RC_OK);
}

Test(respond, approves_nothing_with_a_refusal)
{
    ask(",\"subject\":{\"pay\":10}");
    cr_assert_eq(answer("k", "no"), RC_OK);
    assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
    assert_not_approved(complete_with(decision.packet->hitl->subject_digest));
}

static void time_out(const char *on_timeout)
{
    static const struct due_spec checkpoints = {.kinds = DUE_HITL};

    decision.now_us = NOW;
    ask(arena_printf(memory, ",\"subject\":1,\"timeout_seconds\":1%s", on_timeout));
    decision.ctx = &checkpoints;
    decision.now_us = NOW + US_PER_SECOND;
    cr_assert_eq(decide_due(&decision, NULL), RC_OK);
    decision.ctx = &electorate;
}

Test(respond, is_not_what_a_time_out_does)
{
    time_out(",\"on_timeout\":\"release\"");
    assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
    time_out(",\"on_timeout\":\"answer:yes\"");
    ASSERT_TEXT(decision.packet->hitl->response, "yes");
    assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
}

Test(respond, approves_what_it_was_shown_after_asking_again)
{
    time_out(",\"on_timeout\":\"escalate_to:boss\"");
    cr_assert(decision.packet->hitl->timed_out);
    cr_assert_eq(answer("boss", "yes"), RC_OK);
    cr_assert_eq(claim_with(decision.packet->hitl->subject_digest), RC_OK);
}

// --- which answers approve -----------------------------------------------------------------------

static void ask_options(const char *options, const char *more)
{
    const char *hitl =
        arena_printf(memory, ",\"hitl\":{\"reason\":\"r\",\"options\":%s%s}", options, more);

    decision.packet = NULL;
    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     create_body(memory, hitl))),
                 RC_OK);
}

Test(respond, approves_with_an_approve_option_and_refuses_with_every_other_answer)
{
    static const char *const options[][2] = {
        {"Ja",      "Nein"  },
        {"approve", "cancel"},
        {"allow",   "block" },
        {"go",      "stop"  },
        {"reject",  "yes"   },
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const char *list = arena_printf(memory, "[\"%s\",\"%s\"]", options[i][0], options[i][1]);
        const char *more =
            arena_printf(memory, ",\"free_form\":true,\"subject\":1,\"approve_options\":[\"%s\"]",
                         options[i][0]);

        ask_options(list, more);
        cr_assert_eq(answer("k", options[i][1]), RC_OK);
        assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
        ask_options(list, more);
        cr_assert_eq(answer("k", "something else"), RC_OK);
        assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
        ask_options(list, more);
        cr_assert_eq(answer("k", options[i][0]), RC_OK);
        cr_assert_eq(claim_with(decision.packet->hitl->subject_digest), RC_OK);
    }
}

Test(respond, neither_approves_nor_refuses_where_nothing_depends_on_it)
{
    ask("");
    cr_assert_eq(answer("k", "no"), RC_OK);
    assert_decided("no");
    cr_assert_eq(hitl_verdict(decision.packet->hitl, false, text_of("no")), HITL_ANSWERED);
}

Test(respond, asks_again_what_an_earlier_version_stored_without_rejections)
{
    ask(",\"subject\":1");
    decision.packet->hitl->n_approve_options = 0;
    cr_assert_eq(answer("k", "yes"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_MUST_BE_ASKED_AGAIN);
    cr_assert_eq(decision.packet->hitl->n_votes, 0);
    // Asking again is possible, although the checkpoint is open.
    cr_assert_eq(decide_update(&decision, message_of(memory, &hr__update_packet__descriptor,
                                                     "{\"hitl\":{\"reason\":\"r\",\"subject\":1,"
                                                     "\"approve_options\":[\"yes\"]}}")),
                 RC_OK);
    cr_assert_eq(answer("k", "yes"), RC_OK);
    cr_assert_eq(claim_with(decision.packet->hitl->subject_digest), RC_OK);
}

Test(respond, approves_an_earlier_versions_option_that_its_rejections_do_not_list)
{
    ask(",\"free_form\":true,\"subject\":1,\"rejections\":[\"no\"]");
    decision.packet->hitl->n_approve_options = 0;
    cr_assert_eq(answer("k", "yes"), RC_OK);
    cr_assert_eq(claim_with(decision.packet->hitl->subject_digest), RC_OK);
    ask(",\"free_form\":true,\"subject\":1,\"rejections\":[\"no\"]");
    decision.packet->hitl->n_approve_options = 0;
    cr_assert_eq(answer("k", "not an option"), RC_OK);
    assert_not_approved(claim_with(decision.packet->hitl->subject_digest));
}

Test(respond, is_not_opened_without_approve_options_where_something_depends_on_it)
{
    ask(",\"subject\":1");
    decision.packet->hitl->n_approve_options = 0;
    decision.packet->status = HR__STATUS__STATUS_CLAIMED;
    cr_assert_eq(decide_update(&decision, message_of(memory, &hr__update_packet__descriptor,
                                                     "{\"status\":\"awaiting_human\"}")),
                 RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
}
