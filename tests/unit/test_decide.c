// Create, claim, update and delete: what they decide, and in which words they refuse.
#include "broker/packet/decide.h"

#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define NOW 1795210145634694
#define NOW_TEXT "2026-11-20T21:29:05.634694Z"

static struct arena *memory;
static struct decision decision;

static void set_up(void)
{
    memory = arena_create(16 * 1024);
    decision = (struct decision){.arena = memory, .packet_id = ID, .key_id = "k", .now_us = NOW};
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(create, .init = set_up, .fini = tear_down);
TestSuite(claim, .init = set_up, .fini = tear_down);
TestSuite(update, .init = set_up, .fini = tear_down);
TestSuite(removal, .init = set_up, .fini = tear_down);

static enum rc create(const char *more)
{
    decision.packet = NULL;
    return decide_create(
        &decision, message_of(memory, &hr__create_packet__descriptor, create_body(memory, more)));
}

static enum rc claim(const char *agent)
{
    const char *json = arena_printf(
        memory, "{\"agent_id\":\"%s\",\"agent_name\":\"N\",\"framework\":\"F\"}", agent);

    return decide_claim(&decision, message_of(memory, &hr__claim_packet__descriptor, json));
}

static enum rc update(const char *json)
{
    return decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, json));
}

static enum rc delete_packet(void)
{
    return decide_delete(&decision, message_of(memory, &hr__packet_ref__descriptor, "{}"));
}

// A packet in this status, as its record would give it back.
static void given(Hr__Status status)
{
    ProtobufCMessage *copy;
    Text bytes;

    cr_assert_eq(create(",\"decisions\":[{\"id\":\"d1\",\"decision\":\"one\",\"rationale\":\"\"},"
                        "{\"id\":\"d2\",\"decision\":\"two\",\"rationale\":\"\"}],\"actions\":{"
                        "\"pending\":[{\"id\":\"p1\",\"description\":\"d\",\"assignee\":\"a\"}],"
                        "\"completed\":[{\"id\":\"c1\",\"description\":\"d\",\"result\":\"r\"}]}"),
                 RC_OK);
    decision.packet->status = status;
    bytes = wire_pack(memory, &decision.packet->base);
    cr_assert_eq(wire_unpack(&copy, memory, &hr__packet__descriptor, bytes.data, bytes.len), RC_OK);
    decision.packet = (Hr__Packet *)copy;
}

static void assert_refusal(enum problem_code code, const char *detail)
{
    cr_assert_eq(decision.problem.code, code, "%s", problem_name(decision.problem.code));
    ASSERT_TEXT(decision.problem.detail, detail);
}

// --- create --------------------------------------------------------------------------------------

Test(create, makes_a_packet_that_anyone_may_claim)
{
    cr_assert_eq(create(""), RC_OK);
    ASSERT_TEXT(decision.event_type, "created");
    ASSERT_TEXT(decision.actor, "agent:s");
    ASSERT_TEXT(decision.details, "{}");
    cr_assert_str_eq(
        json_text_of(memory, &decision.packet->base),
        "{\"id\":\"" ID "\",\"version\":\"1.0.0\",\"parent_packet_id\":null,\"metadata\":{"
        "\"source_agent\":{\"id\":\"s\",\"name\":\"S\",\"framework\":null,\"version\":null},"
        "\"target_agent\":{\"id\":\"t\",\"name\":\"T\",\"framework\":null},\"created_at\":"
        "\"" NOW_TEXT "\",\"claimed_at\":null,\"completed_at\":null,\"priority\":\"normal\","
        "\"tags\":[],\"addressed_to\":{\"id\":\"t\",\"name\":\"T\",\"framework\":null}},"
        "\"context\":{\"summary\":\"x\",\"conversation_state\":[],\"artifacts\":[],\"custom\":{}},"
        "\"decisions\":[],\"actions\":{\"pending\":[],\"completed\":[],\"failed\":[]},"
        "\"dependencies\":[],\"hitl\":null,\"status\":\"created\",\"created_at\":\"" NOW_TEXT
        "\",\"updated_at\":\"" NOW_TEXT "\"}");
}

Test(create, holds_a_packet_back_for_a_human_who_must_be_asked)
{
    cr_assert_eq(create(",\"hitl\":{\"reason\":\"r\"}"), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    ASSERT_TEXT(decision.event_type, "created");
    cr_assert_eq(create(",\"hitl\":{\"reason\":\"r\",\"required\":false}"), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
}

Test(create, keeps_the_clients_own_stamp_and_orders_by_ours)
{
    const char *json = "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                       "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"},\"created_at\":"
                       "\"2020-01-01\"},\"context\":{\"summary\":\"\"}}";

    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor, json)),
                 RC_OK);
    cr_assert_eq(wire_timestamp_us(decision.packet->metadata->created_at), 1577836800000000);
    cr_assert_eq(wire_timestamp_us(decision.packet->created_at), NOW);
}

// --- claim ---------------------------------------------------------------------------------------

Test(claim, hands_the_packet_to_the_claimer_and_remembers_the_addressee)
{
    given(HR__STATUS__STATUS_CREATED);
    decision.now_us = NOW + 1;
    cr_assert_eq(claim("a"), RC_OK);
    ASSERT_TEXT(decision.event_type, "claimed");
    ASSERT_TEXT(decision.actor, "agent:a");
    ASSERT_TEXT(decision.details, "{\"agent_name\":\"N\",\"framework\":\"F\"}");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CLAIMED);
    ASSERT_TEXT(decision.packet->metadata->target_agent->id, "a");
    ASSERT_TEXT(decision.packet->metadata->target_agent->framework, "F");
    ASSERT_TEXT(decision.packet->metadata->addressed_to->id, "t");
    ASSERT_TEXT(decision.packet->claim->holder->id, "a");
    cr_assert_eq(wire_timestamp_us(decision.packet->updated_at), NOW + 1);
    cr_assert_eq(wire_timestamp_us(decision.packet->created_at), NOW);
}

Test(claim, says_null_for_a_framework_that_was_not_named)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(decide_claim(&decision, message_of(memory, &hr__claim_packet__descriptor,
                                                    "{\"agent_id\":\"\",\"agent_name\":\"\"}")),
                 RC_OK);
    ASSERT_TEXT(decision.details, "{\"agent_name\":\"\",\"framework\":null}");
    cr_assert_not(decision.packet->metadata->target_agent->has_framework);
}

Test(claim, names_the_winner_to_whoever_comes_late)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(claim("winner"), RC_OK);
    cr_assert_eq(claim("loser"), RC_REFUSED);
    assert_refusal(PROBLEM_ALREADY_CLAIMED,
                   "{\"message\":\"Packet " ID " is already claimed\",\"claimed_by\":{\"id\":"
                   "\"winner\",\"name\":\"N\",\"framework\":\"F\"}}");
    // A packet that PATCH put into claimed has no holder but its target.
    given(HR__STATUS__STATUS_CLAIMED);
    cr_assert_eq(claim("loser"), RC_REFUSED);
    assert_refusal(PROBLEM_ALREADY_CLAIMED,
                   "{\"message\":\"Packet " ID " is already claimed\",\"claimed_by\":{\"id\":"
                   "\"t\",\"name\":\"T\",\"framework\":null}}");
}

Test(claim, is_refused_in_every_other_status)
{
    static const struct {
        Hr__Status status;
        enum problem_code code;
        const char *detail;
    } cases[] = {
        {HR__STATUS__STATUS_AWAITING_HUMAN, PROBLEM_AWAITING_HUMAN,
         "\"Packet " ID " awaits a human answer and cannot be claimed before it\""                     },
        {HR__STATUS__STATUS_EXPIRED,        PROBLEM_EXPIRED,            "\"Packet " ID " has expired\""},
        {HR__STATUS__STATUS_IN_PROGRESS,    PROBLEM_ILLEGAL_TRANSITION,
         "\"Cannot transition from 'in_progress' to 'claimed'. Allowed transitions from "
         "'in_progress': ['completed', 'awaiting_human', 'failed', 'expired']\""                       },
        {HR__STATUS__STATUS_COMPLETED,      PROBLEM_ILLEGAL_TRANSITION,
         "\"Cannot transition from 'completed' to 'claimed'. Allowed transitions from 'completed': "
         "['expired']\""                                                                               },
        {HR__STATUS__STATUS_FAILED,         PROBLEM_ILLEGAL_TRANSITION,
         "\"Cannot transition from 'failed' to 'claimed'. Allowed transitions from 'failed': "
         "['expired']\""                                                                               },
        {(Hr__Status)99,                    PROBLEM_ILLEGAL_TRANSITION,
         "\"Cannot transition from 'unknown' to 'claimed'. Allowed transitions from 'unknown': "
         "[]\""                                                                                        },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        given(cases[i].status);
        cr_assert_eq(claim("a"), RC_REFUSED);
        assert_refusal(cases[i].code, cases[i].detail);
        ASSERT_TEXT(decision.packet->metadata->target_agent->id, "t");
    }
    decision.packet = NULL;
    cr_assert_eq(claim("a"), RC_REFUSED);
    assert_refusal(PROBLEM_NOT_FOUND, "\"Packet " ID " not found\"");
}

Test(claim, of_an_addressed_packet_is_the_addressees_alone)
{
    given(HR__STATUS__STATUS_CREATED);
    decision.packet->metadata->has_claim_policy = true;
    decision.packet->metadata->claim_policy = HR__CLAIM_POLICY__CLAIM_POLICY_ADDRESSED;
    cr_assert_eq(claim("a"), RC_REFUSED);
    assert_refusal(PROBLEM_NOT_ADDRESSED,
                   "\"Packet " ID " may be claimed only by the agent it is addressed to\"");
    cr_assert_eq(claim("t"), RC_OK);
    given(HR__STATUS__STATUS_CREATED);
    decision.packet->metadata->has_claim_policy = true;
    decision.packet->metadata->claim_policy = HR__CLAIM_POLICY__CLAIM_POLICY_OPEN;
    cr_assert_eq(claim("a"), RC_OK);
}

// --- update --------------------------------------------------------------------------------------

Test(update, of_nothing_is_a_change_too)
{
    given(HR__STATUS__STATUS_EXPIRED);
    decision.now_us = NOW + 1;
    cr_assert_eq(update("{}"), RC_OK);
    ASSERT_TEXT(decision.event_type, "updated");
    ASSERT_TEXT(decision.actor, "agent:t");
    ASSERT_TEXT(decision.details, "{\"fields\":[]}");
    cr_assert_eq(wire_timestamp_us(decision.packet->updated_at), NOW + 1);
    decision.packet = NULL;
    cr_assert_eq(update("{}"), RC_REFUSED);
    assert_refusal(PROBLEM_NOT_FOUND, "\"Packet " ID " not found\"");
}

Test(update, replaces_the_context_whole)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(update("{\"context\":{\"summary\":\"new\"}}"), RC_OK);
    cr_assert_str_eq(json_text_of(memory, &decision.packet->context->base),
                     "{\"summary\":\"new\",\"conversation_state\":[],\"artifacts\":[],\"custom\":{"
                     "}}");
    ASSERT_TEXT(decision.details, "{\"fields\":[\"context\"]}");
}

Test(update, merges_decisions_by_id)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(update("{\"decisions\":[{\"id\":\"d3\",\"decision\":\"three\",\"rationale\":\"\"},"
                        "{\"id\":\"d1\",\"decision\":\"uno\",\"rationale\":\"\"},"
                        "{\"id\":\"d3\",\"decision\":\"tres\",\"rationale\":\"\"}]}"),
                 RC_OK);
    cr_assert_eq(decision.packet->n_decisions, 4);
    ASSERT_TEXT(decision.packet->decisions[0]->decision, "uno");
    ASSERT_TEXT(decision.packet->decisions[1]->decision, "two");
    ASSERT_TEXT(decision.packet->decisions[2]->decision, "three");
    ASSERT_TEXT(decision.packet->decisions[3]->decision, "tres");
    cr_assert_eq(update("{\"decisions\":[]}"), RC_OK);
    cr_assert_eq(decision.packet->n_decisions, 4);
    ASSERT_TEXT(decision.details, "{\"fields\":[\"decisions\"]}");
}

Test(update, keeps_the_action_lists_that_are_not_sent)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(update("{\"actions\":{\"pending\":[],\"failed\":[{\"id\":\"f1\",\"description\":"
                        "\"d\",\"error\":\"e\"}]}}"),
                 RC_OK);
    cr_assert_eq(decision.packet->actions->n_pending, 0);
    cr_assert_eq(decision.packet->actions->n_completed, 1);
    cr_assert_eq(decision.packet->actions->n_failed, 1);
    cr_assert_eq(update("{\"actions\":{\"completed\":[]}}"), RC_OK);
    cr_assert_eq(decision.packet->actions->n_completed, 0);
    cr_assert_eq(decision.packet->actions->n_failed, 1);
    cr_assert_eq(update("{\"actions\":{}}"), RC_OK);
    cr_assert_eq(decision.packet->actions->n_failed, 1);
}

Test(update, replaces_dependencies_and_the_checkpoint)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(update("{\"dependencies\":[{\"id\":\"1\",\"type\":\"api\",\"description\":\"d\"}],"
                        "\"hitl\":{\"reason\":\"r\"}}"),
                 RC_OK);
    cr_assert_eq(decision.packet->n_dependencies, 1);
    cr_assert(decision.packet->hitl->required);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
    ASSERT_TEXT(decision.details, "{\"fields\":[\"dependencies\",\"hitl\"]}");
    cr_assert_eq(update("{\"dependencies\":[]}"), RC_OK);
    cr_assert_eq(decision.packet->n_dependencies, 0);
}

Test(update, of_the_status_is_an_event_of_its_name)
{
    given(HR__STATUS__STATUS_CLAIMED);
    cr_assert_eq(update("{\"status\":\"completed\"}"), RC_OK);
    ASSERT_TEXT(decision.event_type, "completed");
    ASSERT_TEXT(decision.details, "{\"from_status\":\"claimed\",\"to_status\":\"completed\"}");
    cr_assert_eq(wire_timestamp_us(decision.packet->metadata->completed_at), NOW);
    given(HR__STATUS__STATUS_CLAIMED);
    cr_assert_eq(update("{\"status\":\"in_progress\",\"context\":{\"summary\":\"\"}}"), RC_OK);
    ASSERT_TEXT(decision.event_type, "in_progress");
    ASSERT_TEXT(decision.details, "{\"from_status\":\"claimed\",\"to_status\":\"in_progress\","
                                  "\"fields\":[\"context\"]}");
}

Test(update, to_the_status_it_has_is_none)
{
    given(HR__STATUS__STATUS_COMPLETED);
    cr_assert_eq(update("{\"status\":\"completed\"}"), RC_OK);
    ASSERT_TEXT(decision.event_type, "updated");
    ASSERT_TEXT(decision.details, "{\"fields\":[]}");
}

Test(update, to_a_status_out_of_reach_changes_nothing)
{
    given(HR__STATUS__STATUS_CREATED);
    cr_assert_eq(update("{\"status\":\"completed\",\"context\":{\"summary\":\"new\"}}"),
                 RC_REFUSED);
    assert_refusal(PROBLEM_ILLEGAL_TRANSITION,
                   "\"Cannot transition from 'created' to 'completed'. Allowed transitions from "
                   "'created': ['claimed', 'awaiting_human', 'failed', 'expired']\"");
    ASSERT_TEXT(decision.packet->context->summary, "x");
    given(HR__STATUS__STATUS_FAILED);
    cr_assert_eq(update("{\"status\":\"created\"}"), RC_REFUSED);
    assert_refusal(PROBLEM_ILLEGAL_TRANSITION,
                   "\"Cannot transition from 'failed' to 'created'. Allowed transitions from "
                   "'failed': ['expired']\"");
    given((Hr__Status)99);
    cr_assert_eq(update("{\"status\":\"claimed\"}"), RC_REFUSED);
    assert_refusal(PROBLEM_ILLEGAL_TRANSITION, "\"Cannot transition from 'unknown' to 'claimed'. "
                                               "Allowed transitions from 'unknown': []\"");
}

Test(update, does_not_pass_a_human_by)
{
    given(HR__STATUS__STATUS_AWAITING_HUMAN);
    cr_assert_eq(update("{\"status\":\"claimed\"}"), RC_REFUSED);
    assert_refusal(PROBLEM_AWAITING_HUMAN,
                   "\"Packet " ID " awaits a human answer and cannot be claimed before it\"");
    cr_assert_eq(update("{\"status\":\"in_progress\"}"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_AWAITING_HUMAN);
    cr_assert_eq(update("{\"status\":\"completed\"}"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_ILLEGAL_TRANSITION);
    cr_assert_eq(update("{\"status\":\"failed\"}"), RC_OK);
}

Test(update, is_put_down_to_the_system_when_nobody_has_the_packet)
{
    given(HR__STATUS__STATUS_CREATED);
    decision.packet->metadata->target_agent = NULL;
    cr_assert_eq(update("{}"), RC_OK);
    ASSERT_TEXT(decision.actor, "system");
}

// --- delete --------------------------------------------------------------------------------------

Test(removal, expires_a_packet_of_any_status)
{
    for (int status = HR__STATUS__STATUS_CREATED; status < HR__STATUS__STATUS_EXPIRED; status++) {
        char name[ENUM_TEXT_BYTES];

        given((Hr__Status)status);
        decision.now_us = NOW + 1;
        cr_assert_eq(delete_packet(), RC_OK);
        ASSERT_TEXT(decision.event_type, "expired");
        ASSERT_TEXT(decision.actor, "system:soft_delete");
        ASSERT_TEXT(decision.details,
                    arena_printf(memory, "{\"previous_status\":\"%s\",\"reason\":\"soft_delete\"}",
                                 wire_enum_text(name, &hr__status__descriptor, status)));
        cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_EXPIRED);
        cr_assert_eq(wire_timestamp_us(decision.packet->updated_at), NOW + 1);
        cr_assert_null(decision.packet->claim);
    }
}

Test(removal, happens_once)
{
    given(HR__STATUS__STATUS_EXPIRED);
    cr_assert_eq(delete_packet(), RC_REFUSED);
    assert_refusal(PROBLEM_ALREADY_EXPIRED, "\"Packet " ID " is already expired\"");
    decision.packet = NULL;
    cr_assert_eq(delete_packet(), RC_REFUSED);
    assert_refusal(PROBLEM_NOT_FOUND, "\"Packet " ID " not found\"");
}

// Whatever an agent calls itself, what is stored of it is text and JSON.
Test(claim, stores_text_and_json_whatever_an_agent_is_called)
{
    static const char *const names[] = {"\\u0000", "a\\u0000b", "\\\"\\\\", "caf\xc3\xa9", "%s%n"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        given(HR__STATUS__STATUS_CREATED);
        cr_assert_eq(claim(names[i]), RC_OK);
        cr_assert_eq(memcmp(decision.actor.data, "agent:", 6), 0);
        cr_assert(json_is_valid(decision.details.data, decision.details.len));
    }
}
