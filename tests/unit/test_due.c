// Which deadline is next, that each step is made once, and the ladder of a checkpoint in its order.
#include "broker/packet/decide.h"
#include "broker/packet/due.h"
#include "broker/packet/hitl.h"

#include "tests/unit/messages.h"

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define NOW 1795210145000000
#define SECOND US_PER_SECOND

static const struct due_spec everything = {
    .kinds = DUE_LEASE | DUE_CLAIM_BY | DUE_HITL | DUE_TTL | DUE_ARCHIVE,
    .ttl_us = 100 * SECOND,
    .retention_us = 1000 * SECOND,
};

static struct arena *memory;
static struct decision decision;

static void set_up(void)
{
    memory = arena_create(16 * 1024);
    decision = (struct decision){
        .arena = memory, .packet_id = ID, .key_id = "k", .now_us = NOW, .ctx = &everything};
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(due, .init = set_up, .fini = tear_down);

static void create(const char *more)
{
    decision.packet = NULL;
    decision.now_us = NOW;
    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     create_body(memory, more))),
                 RC_OK);
}

static void claim(const char *more)
{
    const char *json = arena_printf(memory, "{\"agent_id\":\"a\",\"agent_name\":\"A\"%s}", more);

    cr_assert_eq(decide_claim(&decision, message_of(memory, &hr__claim_packet__descriptor, json)),
                 RC_OK);
}

static void assert_next(unsigned kind, int64_t seconds)
{
    unsigned found;
    int64_t at_us = due_next(decision.packet, &everything, &found);

    cr_assert_eq(found, kind, "%u instead of %u", found, kind);
    cr_assert_eq(at_us, NOW + seconds * SECOND, "%lld s", (long long)((at_us - NOW) / SECOND));
}

// Makes the step that is due after so many seconds.
static void step(int64_t seconds, const char *event)
{
    decision.now_us = NOW + seconds * SECOND;
    decision.unchanged = false;
    cr_assert_eq(decide_due(&decision, NULL), RC_OK);
    cr_assert_not(decision.unchanged);
    ASSERT_TEXT(decision.event_type, event);
}

Test(due, ends_an_open_packet_by_its_age)
{
    create("");
    assert_next(DUE_TTL, 100);
    decision.now_us = NOW + 99 * SECOND;
    cr_assert_eq(decide_due(&decision, NULL), RC_OK);
    cr_assert(decision.unchanged, "its time has not come");
    step(100, "expired");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_EXPIRED);
    assert_next(DUE_ARCHIVE, 1100);
}

Test(due, returns_a_packet_whose_lease_is_over)
{
    create("");
    claim(",\"lease_seconds\":5");
    assert_next(DUE_LEASE, 5);
    step(5, "lease_expired");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
    cr_assert_null(decision.packet->claim);
    assert_next(DUE_TTL, 100);
}

Test(due, lets_a_long_lease_outlive_the_packets_time)
{
    create("");
    claim(",\"lease_seconds\":500");
    assert_next(DUE_LEASE, 500);
    create("");
    claim("");
    assert_next(DUE_TTL, 100);
}

Test(due, climbs_the_ladder_in_order_and_then_times_out)
{
    create(",\"hitl\":{\"reason\":\"r\",\"options\":[\"a\"],\"timeout_seconds\":60,"
           "\"warn_before_seconds\":15,\"on_timeout\":\"fail\",\"escalation\":["
           "{\"after_seconds\":10,\"to\":\"x\"},{\"after_seconds\":50,\"to\":\"y\"}]}");
    assert_next(DUE_HITL, 10);
    step(10, "hitl_escalated");
    ASSERT_TEXT(decision.packet->hitl->escalated_to[0], "x");
    assert_next(DUE_HITL, 45);
    step(45, "hitl_warning");
    assert_next(DUE_HITL, 50);
    step(50, "hitl_escalated");
    assert_next(DUE_HITL, 60);
    step(60, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_FAILED);
    cr_assert(decision.packet->hitl->timed_out);
    cr_assert_not(decision.packet->hitl->has_responded_by);
    cr_assert_eq(decision.packet->hitl->n_votes, 0, "nobody has answered");
}

static int64_t expires_at(void)
{
    static const struct due_spec ages = {.kinds = DUE_TTL, .ttl_us = 100 * SECOND};
    unsigned kind;
    int64_t at_us = due_next(decision.packet, &ages, &kind);

    return at_us == DUE_NEVER ? DUE_NEVER : (at_us - NOW) / SECOND;
}

Test(due, lets_a_ladder_without_an_end_be_climbed)
{
    create(",\"hitl\":{\"reason\":\"r\",\"escalation\":["
           "{\"after_seconds\":90,\"to\":\"x\"},{\"after_seconds\":300,\"to\":\"y\"}]}");
    cr_assert_eq(expires_at(), DUE_NEVER, "there are steps to come");
    step(90, "hitl_escalated");
    assert_next(DUE_HITL, 300);
    step(300, "hitl_escalated");
    assert_next(DUE_TTL, 400);
    cr_assert_eq(expires_at(), 400, "whoever was asked last has as long as everybody");
    step(400, "expired");
}

// Age and checkpoint are looked after by different workers: of the same moment either may be first.
Test(due, leaves_the_end_of_a_checkpoint_to_its_time_out)
{
    create(",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":500,\"on_timeout\":\"release\"}");
    cr_assert_eq(expires_at(), DUE_NEVER);
    step(500, "hitl_timed_out");
    cr_assert_eq(expires_at(), 100, "it is old");
    create(",\"hitl\":{\"reason\":\"r\"}");
    cr_assert_eq(expires_at(), 100, "nothing is to come");
}

Test(due, makes_late_steps_one_by_one_in_their_order)
{
    create(",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":60,\"escalation\":["
           "{\"after_seconds\":10,\"to\":\"x\"},{\"after_seconds\":20,\"to\":\"y\"}]}");
    step(1000, "hitl_escalated");
    ASSERT_TEXT(decision.packet->hitl->escalated_to[0], "x");
    step(1000, "hitl_escalated");
    ASSERT_TEXT(decision.packet->hitl->escalated_to[1], "y");
    step(1000, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_EXPIRED);
}

Test(due, goes_on_as_the_checkpoint_says)
{
    create(",\"hitl\":{\"reason\":\"r\",\"options\":[\"a\",\"b\"],\"timeout_seconds\":9,"
           "\"on_timeout\":\"answer:b\"}");
    step(9, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CLAIMED);
    ASSERT_TEXT(decision.packet->hitl->response, "b");
    cr_assert_not(decision.packet->hitl->has_responded_by);
    create(",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":9,\"on_timeout\":\"release\"}");
    step(9, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_CREATED);
    create(",\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":9,\"on_timeout\":\"escalate_to:z\"}");
    step(9, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_AWAITING_HUMAN);
    ASSERT_TEXT(decision.packet->hitl->escalated_to[0], "z");
    assert_next(DUE_HITL, 18);
    step(18, "hitl_timed_out");
    cr_assert_eq(decision.packet->status, HR__STATUS__STATUS_EXPIRED, "once is enough");
}

Test(due, looks_at_the_kinds_it_is_asked_for)
{
    struct due_spec leases = {.kinds = DUE_LEASE};
    unsigned kind;

    create("");
    cr_assert_eq(due_next(decision.packet, &leases, &kind), DUE_NEVER);
    cr_assert_eq(kind, 0);
}

Test(due, leaves_a_stub_of_what_was_finished_long_ago)
{
    create("");
    step(100, "expired");
    step(1100, "archived");
    cr_assert_not_null(decision.packet->archived_at);
    ASSERT_TEXT(decision.packet->context->summary, "");
    cr_assert_eq(due_next(decision.packet, &everything, &(unsigned){0}), DUE_NEVER);
}
