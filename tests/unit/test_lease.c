// What a holder may do with its claim, and who else may not.
#include "broker/packet/decide.h"

#include "tests/unit/messages.h"

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define NOW 1795210145000000
#define GENERATION 41

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

TestSuite(lease, .init = set_up, .fini = tear_down);

static void create(const char *metadata)
{
    const char *json = arena_printf(
        memory,
        "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},\"target_agent\":{\"id\":"
        "\"t\",\"name\":\"T\"}%s},\"context\":{\"summary\":\"x\"}}",
        metadata);

    decision.packet = NULL;
    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor, json)),
                 RC_OK);
}

static void claim(const char *more)
{
    const char *json = arena_printf(memory, "{\"agent_id\":\"t\",\"agent_name\":\"T\"%s}", more);

    cr_assert_eq(decide_claim(&decision, message_of(memory, &hr__claim_packet__descriptor, json)),
                 RC_OK);
    decision.packet->claim->generation = GENERATION; // as the store fills it in
    decision.claim = GENERATION;
}

static enum rc heartbeat(const char *json)
{
    decision.unchanged = false;
    return decide_heartbeat(&decision, message_of(memory, &hr__heartbeat_claim__descriptor, json));
}

static enum rc release(const char *json)
{
    return decide_release(&decision, message_of(memory, &hr__release_claim__descriptor, json));
}

static enum rc decline(const char *agent)
{
    const char *json = arena_printf(memory, "{\"agent_id\":\"%s\",\"reason\":\"busy\"}", agent);

    decision.unchanged = false;
    return decide_decline(&decision, message_of(memory, &hr__decline_packet__descriptor, json));
}

Test(lease, begins_anew_with_a_heartbeat)
{
    create("");
    claim(",\"lease_seconds\":5");
    decision.now_us = NOW + 3 * US_PER_SECOND;
    cr_assert_eq(heartbeat("{\"agent_id\":\"t\"}"), RC_OK);
    cr_assert_eq(wire_timestamp_us(decision.packet->claim->lease_expires_at),
                 NOW + 8 * US_PER_SECOND);
    cr_assert_eq(heartbeat("{\"agent_id\":\"t\",\"lease_seconds\":60}"), RC_OK);
    cr_assert_eq(wire_timestamp_us(decision.packet->claim->lease_expires_at),
                 NOW + 63 * US_PER_SECOND);
}

Test(lease, is_not_needed_and_then_a_heartbeat_changes_nothing)
{
    create("");
    claim("");
    cr_assert_eq(heartbeat("{\"agent_id\":\"t\"}"), RC_OK);
    cr_assert(decision.unchanged);
}

Test(lease, is_its_holders_alone)
{
    create("");
    cr_assert_eq(heartbeat("{\"agent_id\":\"t\"}"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_STALE_CLAIM);
    claim(",\"lease_seconds\":5");
    cr_assert_eq(heartbeat("{\"agent_id\":\"other\"}"), RC_REFUSED);
    cr_assert_eq(release("{\"agent_id\":\"other\"}"), RC_REFUSED);
    cr_assert_eq(decline("other"), RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_STALE_CLAIM);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CLAIMED);
}

Test(lease, ends_with_a_release)
{
    create("");
    claim(",\"lease_seconds\":5");
    cr_assert_eq(release("{\"agent_id\":\"t\",\"reason\":\"tired\"}"), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
    cr_assert_null(decision.packet->claim);
    ASSERT_TEXT(decision.event_type, "released");
    ASSERT_TEXT(decision.details, "{\"reason\":\"tired\"}");
}

Test(lease, is_declined_once_and_remembered)
{
    create("");
    cr_assert_eq(decline("t"), RC_OK);
    cr_assert_eq(decision.packet->n_declined, 1);
    ASSERT_TEXT(decision.packet->declined[0]->reason, "busy");
    cr_assert_eq(decline("t"), RC_OK);
    cr_assert(decision.unchanged);
    claim("");
    cr_assert_eq(decline("t"), RC_OK, "a holder may decline what it holds");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
}

Test(lease, moves_a_declined_packet_to_the_next_of_its_fallbacks)
{
    create(",\"fallback_agents\":[{\"id\":\"u\",\"name\":\"U\"},{\"id\":\"v\",\"name\":\"V\"}],"
           "\"on_unclaimed\":\"failed\"");
    cr_assert_eq(decline("t"), RC_OK);
    ASSERT_TEXT(decision.packet->metadata->target_agent->id, "u");
    cr_assert_eq(decline("u"), RC_OK);
    ASSERT_TEXT(decision.packet->metadata->target_agent->id, "v");
    cr_assert_eq(decline("v"), RC_OK);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_FAILED, "there is nobody left");
}

static enum rc update(const char *json)
{
    return decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, json));
}

static enum rc complete(void)
{
    return decide_complete(&decision, message_of(memory, &hr__update_packet__descriptor, "{}"));
}

static void assert_stale(enum rc rc)
{
    cr_assert_eq(rc, RC_REFUSED);
    cr_assert_eq(decision.problem.code, PROBLEM_STALE_CLAIM);
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CLAIMED);
}

Test(lease, lets_nobody_change_the_packet_who_does_not_act_under_the_claim)
{
    static const uint64_t others[] = {0, GENERATION - 1};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        create("");
        claim(",\"lease_seconds\":5");
        decision.claim = others[i];
        assert_stale(update("{\"status\":\"completed\"}"));
        assert_stale(update("{\"context\":{\"summary\":\"forged\"}}"));
        assert_stale(update("{\"status\":\"failed\"}"));
        assert_stale(complete());
        assert_stale(heartbeat("{\"agent_id\":\"t\"}"));
        assert_stale(release("{\"agent_id\":\"t\"}"));
        assert_stale(decline("t"));
        decision.claim = GENERATION;
        cr_assert_eq(update("{\"status\":\"completed\"}"), RC_OK);
    }
}

Test(lease, asks_nothing_of_those_who_use_none)
{
    create("");
    claim("");
    decision.claim = 0;
    cr_assert_eq(update("{\"status\":\"in_progress\"}"), RC_OK);
    cr_assert_eq(complete(), RC_OK);
}

Test(lease, is_ended_by_a_delete_which_says_so)
{
    create("");
    claim(",\"lease_seconds\":5");
    decision.claim = 0;
    cr_assert_eq(decide_delete(&decision, NULL), RC_OK);
    ASSERT_TEXT(decision.details,
                "{\"previous_status\":\"claimed\",\"reason\":\"soft_delete\",\"lease\":\"ended\"}");
}
