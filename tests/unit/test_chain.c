// A follow-up packet: its lineage, and when it is refused or given to a human.
#include "broker/packet/chain.h"

#include "broker/message/check.h"
#include "broker/message/json_write.h"
#include "broker/packet/carry.h"
#include "broker/packet/due.h"
#include "broker/packet/electorate.h"
#include "tests/unit/messages.h"

#define CHILD "0190b5a2-7c3e-7def-8123-00000000000c"
#define EVENT "0190b5a2-7c3e-7def-8123-000000000001"
#define NOW 1795210145634694

static struct arena *memory;
static struct decision decision;
static struct chain_parent parent;

static void set_up(void)
{
    memory = arena_create(64 * 1024);
    parent = (struct chain_parent){
        .packet_id = "p", .limits = {64, 2, 3, 8},
             .max_context_bytes = 1000
    };
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(chain, .init = set_up, .fini = tear_down);

static const char *body_of(const char *source, const char *target, const char *more)
{
    return arena_printf(memory,
                        "{\"metadata\":{\"source_agent\":{\"id\":\"%s\",\"name\":\"S\"},"
                        "\"target_agent\":{\"id\":\"%s\",\"name\":\"T\"}},"
                        "\"context\":{\"summary\":\"s\"}%s}",
                        source, target, more);
}

static void be_parent(Hr__Packet *packet, uint64_t sequence)
{
    parent.packet = packet;
    parent.event_id = text_of(EVENT);
    parent.sequence = sequence;
}

static void given_root(const char *source, const char *target)
{
    decision = (struct decision){.arena = memory, .packet_id = "root", .now_us = NOW};
    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     body_of(source, target, ""))),
                 RC_OK);
    be_parent(decision.packet, 1);
}

static enum rc chain(const char *source, const char *target, const char *more)
{
    decision = (struct decision){
        .arena = memory, .packet_id = CHILD, .key_id = "bot", .now_us = NOW, .ctx = &parent};
    return decide_chain(&decision, message_of(memory, &hr__chain_packet__descriptor,
                                              body_of(source, target, more)));
}

static const char *path(void)
{
    const Hr__Lineage *lineage = decision.packet->lineage;
    const char *text = "";

    for (size_t i = 0; i < lineage->n_path; i++)
        text = arena_printf(memory, "%s%.*s", text, TEXT_ARGS(lineage->path[i]));
    return text;
}

static const char *detail(void)
{
    return arena_copy(memory, decision.problem.detail.data, decision.problem.detail.len);
}

Test(chain, a_child_names_its_parent)
{
    const Hr__Lineage *lineage;

    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ""), RC_OK);
    lineage = decision.packet->lineage;
    ASSERT_TEXT(decision.packet->parent_packet_id, "root");
    ASSERT_TEXT(decision.event_type, "created");
    ASSERT_TEXT(decision.actor, "agent:b");
    ASSERT_TEXT(decision.details, "{\"parent_packet_id\":\"root\",\"chain\":true}");
    ASSERT_TEXT(lineage->root_id, "root");
    cr_assert_eq(lineage->hops, 1);
    cr_assert_str_eq(path(), "abc");
    cr_assert_eq(carry_of(lineage->carry, lineage->n_carry), CARRY_ALL);
    cr_assert_eq(lineage->n_ancestors, 1);
    cr_assert_eq(lineage->max_context_bytes, 1000);
    cr_assert_null(lineage->limits);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
}

Test(chain, a_link_names_eight_ancestors_however_long_the_chain)
{
    const Hr__Lineage *lineage;

    parent.limits = (struct loop_limits){1000, 1000, 1000, 2};
    given_root("a", "b");
    for (int i = 1; i < 20; i++) {
        cr_assert_eq(chain("b", "c", ""), RC_OK);
        be_parent(decision.packet, (uint64_t)i + 1);
    }
    lineage = decision.packet->lineage;
    cr_assert_eq(lineage->hops, 19);
    cr_assert_eq(lineage->n_ancestors, 8);
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(lineage->ancestors[i]->sequence, 19 - i);
    cr_assert_eq(lineage->n_path, 16);
}

Test(chain, what_is_carried_can_be_chosen)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"carry\":[\"custom\",\"decisions\",\"custom\"]"), RC_OK);
    cr_assert_eq(carry_of(decision.packet->lineage->carry, decision.packet->lineage->n_carry),
                 CARRY_CUSTOM | CARRY_DECISIONS);
    cr_assert_eq(chain("b", "c", ",\"carry\":[]"), RC_OK);
    cr_assert_eq(decision.packet->lineage->n_carry, 0);
    cr_assert_eq(chain("b", "c", ",\"carry\":null"), RC_OK);
    cr_assert_eq(decision.packet->lineage->n_carry, 6);
}

Test(chain, an_unknown_part_is_refused_with_the_choices)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"carry\":[\"custom\",\"everything\"]"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
    cr_assert_not_null(strstr(detail(), "[\"body\",\"carry\",1]"));
    cr_assert_not_null(strstr(detail(), "'conversation'"));
}

Test(chain, the_context_cannot_be_made_larger_than_the_tenant_may_have)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"max_context_bytes\":999"), RC_OK);
    cr_assert_eq(decision.packet->lineage->max_context_bytes, 999);
    cr_assert_eq(chain("b", "c", ",\"max_context_bytes\":1001"), RC_OK);
    cr_assert_eq(decision.packet->lineage->max_context_bytes, 1000);
    cr_assert_eq(chain("b", "c", ",\"max_context_bytes\":0"), RC_OK);
    cr_assert_eq(decision.packet->lineage->max_context_bytes, 0);
}

Test(chain, limits_are_inherited_and_only_made_stricter)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"limits\":{\"max_hops\":2}"), RC_OK);
    be_parent(decision.packet, 2);
    cr_assert_eq(chain("c", "d", ",\"limits\":{\"max_hops\":50,\"max_repeats\":2}"), RC_OK);
    cr_assert_eq(decision.packet->lineage->limits->max_hops, 2);
    cr_assert_eq(decision.packet->lineage->limits->max_repeats, 2);
    be_parent(decision.packet, 3);
    cr_assert_eq(chain("d", "e", ""), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_HANDOFF_LOOP);
    cr_assert_str_eq(detail(), "{\"message\":\"Handoff loop: the chain has more than 2 hops\","
                               "\"reason\":\"max_hops\",\"path\":[\"a\",\"b\",\"c\",\"d\",\"e\"],"
                               "\"hops\":3,\"limits\":{\"max_hops\":2,\"max_cycles\":2,"
                               "\"max_repeats\":2,\"window\":8}}");
}

Test(chain, a_loop_can_be_given_to_a_human)
{
    const Hr__Hitl *hitl;

    parent.limits.max_hops = 0;
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"divert_to_human\":true"), RC_OK);
    hitl = decision.packet->hitl;
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    ASSERT_TEXT(hitl->reason, "Handoff loop: the chain has more than 0 hops");
    cr_assert_eq(hitl->options->n_items, 2);
    ASSERT_TEXT(hitl->options->items[0], "continue");
    cr_assert_eq(hitl->n_rejections, 1);
    ASSERT_TEXT(hitl->rejections[0], "stop");
    cr_assert_eq(hitl->n_approve_options, 1);
    ASSERT_TEXT(hitl->approve_options[0], "continue");
    cr_assert_str_eq(path(), "abc");
    ASSERT_TEXT(decision.packet->lineage->diverted_by_key, "bot");
    ASSERT_TEXT(decision.details,
                "{\"parent_packet_id\":\"root\",\"chain\":true,\"diverted\":\"max_hops\"}");
}

Test(chain, a_diversion_does_not_weaken_a_checkpoint_of_its_own)
{
    const Hr__Hitl *hitl;

    parent.limits.max_hops = 0;
    given_root("a", "b");
    cr_assert_eq(chain("b", "c",
                       ",\"divert_to_human\":true,\"hitl\":{\"reason\":\"Legal.\",\"approvers\":"
                       "[\"k1\",\"k2\"],\"quorum\":2,\"options\":[\"yes\",\"no\"],"
                       "\"approve_options\":[\"yes\"]}"),
                 RC_OK);
    hitl = decision.packet->hitl;
    ASSERT_TEXT(hitl->reason, "Handoff loop: the chain has more than 0 hops. Legal.");
    cr_assert_eq(hitl->quorum, 2);
    cr_assert_eq(hitl->n_approvers, 2);
    ASSERT_TEXT(hitl->options->items[0], "yes");
}

// A, B, A, B, A, B and once more, which is for a human to see; more: of the last link.
static void given_diverted(const char *more)
{
    given_root("A", "B");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(chain(i % 2 == 0 ? "B" : "A", i % 2 == 0 ? "A" : "B", ""), RC_OK);
        be_parent(decision.packet, (uint64_t)i + 2);
    }
    cr_assert_eq(chain("B", "A", arena_printf(memory, ",\"divert_to_human\":true%s", more)), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    be_parent(decision.packet, 6);
}

static enum rc answer(const char *key, const char *response)
{
    static const struct electorate nobody = {0};
    const char *json =
        arena_printf(memory, "{\"response\":\"%s\",\"responded_by\":\"ann\"}", response);

    decision.key_id = key;
    decision.ctx = &nobody;
    return decide_respond(&decision, message_of(memory, &hr__respond_packet__descriptor, json));
}

static void time_out(void)
{
    static const struct due_spec checkpoints = {.kinds = DUE_HITL};

    decision.ctx = &checkpoints;
    decision.now_us = NOW + US_PER_SECOND;
    cr_assert_eq(decide_due(&decision, NULL), RC_OK);
    ASSERT_TEXT(decision.event_type, "hitl_timed_out");
}

static void assert_held(void)
{
    cr_assert_eq(chain("A", "B", ""), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_HANDOFF_LOOP);
    cr_assert_not_null(strstr(detail(), "\"reason\":\"diverted\",\"path\":[\"A\",\"B\",\"A\",\"B\","
                                        "\"A\",\"B\",\"A\",\"B\"],\"hops\":6"),
                       "%s", detail());
    cr_assert_eq(chain("A", "new", ""), RC_REFUSED, "a new agent makes it no new chain");
    cr_assert_eq(chain("A", "B", ",\"divert_to_human\":true"), RC_REFUSED, "nor to the next human");
}

Test(chain, what_no_human_has_answered_leads_no_further)
{
    given_diverted("");
    assert_held();
}

Test(chain, a_refusal_does_not_let_a_loop_go_on)
{
    given_diverted("");
    cr_assert_eq(answer("person", "stop"), RC_OK);
    cr_assert_eq(parent.packet->status, HR__STATUS__STATUS_CLAIMED);
    assert_held();
}

Test(chain, a_time_out_does_not_let_a_loop_go_on)
{
    given_diverted(",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":1,\"on_timeout\":\"release\","
                   "\"approve_options\":[\"yes\"]}");
    time_out();
    cr_assert_eq(parent.packet->status, HR__STATUS__STATUS_CREATED);
    assert_held();
    given_diverted(
        ",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":1,\"on_timeout\":\"answer:yes\","
        "\"approve_options\":[\"yes\"]}");
    time_out();
    cr_assert_eq(parent.packet->status, HR__STATUS__STATUS_CLAIMED);
    assert_held();
}

Test(chain, whoever_made_the_loop_cannot_let_it_go_on)
{
    given_diverted("");
    cr_assert_eq(answer("bot", "continue"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_NOT_APPROVER);
    cr_assert_eq(parent.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    assert_held();
}

Test(chain, an_own_checkpoint_that_may_decide_about_a_loop_names_what_approves)
{
    static const char hitl[] = ",\"divert_to_human\":true,\"hitl\":{\"reason\":\"r\",\"options\":"
                               "[\"Ja\",\"Nein\"]%s}";

    given_root("a", "b");
    cr_assert_eq(chain("b", "c", arena_printf(memory, hitl, "")), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_VALIDATION);
    cr_assert_eq(chain("b", "c", arena_printf(memory, hitl, ",\"approve_options\":[\"Ja\"]")),
                 RC_OK);
}

Test(chain, only_an_approve_option_lets_a_loop_go_on)
{
    given_diverted(",\"hitl\":{\"reason\":\"r\",\"options\":[\"Ja\",\"Nein\"],"
                   "\"approve_options\":[\"Ja\"]}");
    cr_assert_eq(answer("person", "Nein"), RC_OK);
    assert_held();
}

Test(chain, the_checkpoint_of_a_loop_cannot_be_replaced_while_it_is_open)
{
    given_diverted("");
    decision.key_id = "bot";
    cr_assert_eq(
        decide_update(&decision, message_of(memory, &hr__update_packet__descriptor,
                                            "{\"hitl\":{\"reason\":\"r\",\"options\":[\"ok\"]}}")),
        RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_CHECKPOINT_OPEN);
}

Test(chain, a_human_lets_a_loop_go_on_and_the_path_begins_anew)
{
    given_diverted("");
    cr_assert_eq(answer("person", "continue"), RC_OK);
    cr_assert_str_eq(path(), "A");
    cr_assert_not(decision.packet->lineage->has_diverted_by_key);
    cr_assert_eq(chain("A", "B", ""), RC_OK);
    cr_assert_str_eq(path(), "AB");
}

Test(chain, an_answer_to_another_question_leaves_the_path_alone)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"hitl\":{\"reason\":\"r\"}"), RC_OK);
    cr_assert_eq(answer("person", "yes"), RC_OK);
    cr_assert_str_eq(path(), "abc");
}

Test(chain, without_a_loop_nobody_is_asked)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ",\"divert_to_human\":true"), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
    cr_assert_null(decision.packet->hitl);
}

Test(chain, of_nothing_there_is_no_child)
{
    cr_assert_eq(chain("b", "c", ""), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_NOT_FOUND);
}

Test(chain, the_parent_must_be_the_version_that_was_seen)
{
    given_root("a", "b");
    parent.if_match = 2;
    cr_assert_eq(chain("b", "c", ""), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_PRECONDITION_FAILED);
    parent.if_match = 1;
    cr_assert_eq(chain("b", "c", ""), RC_OK);
}

Test(chain, whoever_lost_the_parent_cannot_go_on_from_it)
{
    Hr__Claim claim = HR__CLAIM__INIT;
    Hr__Packet *root;

    given_root("a", "b");
    root = decision.packet;
    claim.has_generation = true;
    claim.generation = 5;
    root->claim = &claim;
    root->status = HR__STATUS__STATUS_CLAIMED;
    parent.claim = 5;
    cr_assert_eq(chain("b", "c", ""), RC_OK);
    parent.claim = 4;
    cr_assert_eq(chain("b", "c", ""), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_STALE_CLAIM);
    root->claim = NULL;
    root->status = HR__STATUS__STATUS_CREATED;
    cr_assert_eq(chain("b", "c", ""), RC_REFUSED);
    root->status = HR__STATUS__STATUS_COMPLETED;
    cr_assert_eq(chain("b", "c", ""), RC_OK);
}

// --- changes of a child --------------------------------------------------------------------------

static unsigned carried_after(const char *update)
{
    given_root("a", "b");
    cr_assert_eq(chain("b", "c", ""), RC_OK);
    cr_assert_eq(
        decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, update)),
        RC_OK);
    return carry_of(decision.packet->lineage->carry, decision.packet->lineage->n_carry);
}

Test(chain, a_part_that_is_replaced_is_not_taken_over_any_more)
{
    cr_assert_eq(carried_after("{}"), CARRY_ALL);
    cr_assert_eq(carried_after("{\"context\":{\"summary\":\"t\"}}"), CARRY_ALL & ~CARRY_CONTEXT);
    cr_assert_eq(carried_after("{\"actions\":{\"pending\":[]}}"),
                 CARRY_ALL & ~CARRY_PENDING_ACTIONS);
    cr_assert_eq(carried_after("{\"actions\":{\"completed\":[]}}"), CARRY_ALL);
    cr_assert_eq(carried_after("{\"dependencies\":[]}"), CARRY_ALL & ~CARRY_DEPENDENCIES);
    cr_assert_eq(carried_after("{\"decisions\":[]}"), CARRY_ALL);
}

// --- what clients cannot write -------------------------------------------------------------------

// A later field 14 of every request, as lineage is of the packet.
static void smuggle(ProtobufCMessage *message)
{
    static uint8_t bytes[] = {0x10, 0x00}; // hops: 0
    ProtobufCMessageUnknownField *field = arena_calloc(memory, 1, sizeof *field);

    field->tag = 14;
    field->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    field->data = bytes;
    field->len = sizeof bytes;
    message->unknown_fields = field;
    message->n_unknown_fields = 1;
}

Test(chain, lineage_cannot_be_smuggled_in)
{
    ProtobufCMessage *create = message_of(memory, &hr__create_packet__descriptor,
                                          body_of("a", "b", ",\"lineage\":{\"hops\":0}"));
    ProtobufCMessage *chained = message_of(memory, &hr__chain_packet__descriptor,
                                           body_of("a", "b", ",\"lineage\":{\"hops\":0}"));
    Hr__CreatePacket *request = (Hr__CreatePacket *)create;

    smuggle(create);
    smuggle(&request->metadata->base);
    smuggle(&request->context->base);
    smuggle(chained);
    cr_assert_null(check_refusal(memory, create));
    cr_assert_null(check_refusal(memory, chained));
    cr_assert_eq(create->n_unknown_fields, 0);
    cr_assert_eq(request->metadata->base.n_unknown_fields, 0);
    cr_assert_eq(request->context->base.n_unknown_fields, 0);
    cr_assert_eq(chained->n_unknown_fields, 0);
    decision = (struct decision){.arena = memory, .packet_id = "root", .now_us = NOW};
    cr_assert_eq(decide_create(&decision, create), RC_OK);
    cr_assert_null(decision.packet->lineage);
}

// --- a create that names its parent --------------------------------------------------------------

static enum rc create_child(const char *source, const char *target)
{
    decision = (struct decision){
        .arena = memory, .packet_id = "child", .key_id = "bot", .now_us = NOW, .ctx = &parent};
    return decide_create_child(
        &decision, message_of(memory, &hr__create_packet__descriptor, body_of(source, target, "")));
}

Test(chain, a_create_with_a_parent_continues_its_path)
{
    given_root("a", "b");
    cr_assert_eq(create_child("b", "c"), RC_OK);
    cr_assert_str_eq(path(), "abc");
    cr_assert_eq(decision.packet->lineage->hops, 1);
    cr_assert_eq(decision.packet->lineage->n_ancestors, 0, "it takes nothing over");
    cr_assert_eq(decision.packet->lineage->n_carry, 0);
    be_parent(decision.packet, 2);
    cr_assert_eq(chain("c", "d", ""), RC_OK);
    cr_assert_str_eq(path(), "abcd");
    cr_assert_eq(decision.packet->lineage->hops, 2);
}

Test(chain, a_create_with_a_parent_is_no_way_round_the_limits)
{
    given_root("A", "B");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(create_child(i % 2 == 0 ? "B" : "A", i % 2 == 0 ? "A" : "B"), RC_OK);
        be_parent(decision.packet, (uint64_t)i + 2);
    }
    cr_assert_eq(create_child("B", "A"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_HANDOFF_LOOP);
    cr_assert_eq(chain("B", "A", ""), RC_REFUSED, "nor in turns with the other way");
}

Test(chain, a_create_does_not_go_on_from_what_no_human_has_answered)
{
    given_diverted("");
    cr_assert_eq(create_child("A", "new"), RC_REFUSED);
    cr_assert_not_null(strstr(detail(), "\"reason\":\"diverted\""));
}

Test(chain, a_create_whose_parent_is_nowhere_follows_nothing)
{
    parent.packet = NULL;
    cr_assert_eq(create_child("a", "b"), RC_OK);
    cr_assert_null(decision.packet->lineage);
}
