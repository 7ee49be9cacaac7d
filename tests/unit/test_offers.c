// What claim-next picks: the best that fits, once.
#include "workers/claim/offers.h"

#include "tests/unit/messages.h"

#include <stdio.h>

static struct arena *memory;
static struct offers *offers;

static void set_up(void)
{
    memory = arena_create(16 * 1024);
    offers = offers_create();
}

static void tear_down(void)
{
    offers_destroy(offers);
    arena_destroy(memory);
}

TestSuite(offers, .init = set_up, .fini = tear_down);

struct made {
    const char *target;
    const char *priority;
    int64_t age_seconds;
    const char *more; // of the metadata
};

static void id_of(char id[UUID_TEXT_BYTES], unsigned number)
{
    (void)snprintf(id, UUID_TEXT_BYTES, "0190b5a2-7c3e-7def-8123-%012u", number);
}

static const struct offer *note(unsigned number, uint64_t sequence, Hr__Status status,
                                const struct made *made)
{
    const char *json = arena_printf(
        memory,
        "{\"status\":\"created\",\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
        "\"target_agent\":{\"id\":\"%s\",\"name\":\"T\"},\"priority\":\"%s\"%s},"
        "\"context\":{\"summary\":\"x\"}}",
        made->target, made->priority, made->more != NULL ? made->more : "");
    Hr__PacketRecord *record = wire_new(memory, &hr__packet_record__descriptor);
    struct stored stored = {record, sequence, 100};
    char id[UUID_TEXT_BYTES];

    id_of(id, number);
    record->event = wire_new(memory, &hr__event__descriptor);
    record->packet = (Hr__Packet *)message_of(memory, &hr__packet__descriptor, json);
    record->packet->has_status = true;
    record->packet->status = status;
    record->packet->created_at =
        wire_timestamp(memory, timestamp_now_us() - made->age_seconds * US_PER_SECOND);
    return offers_note(offers, "acme", id, &stored);
}

static void offer(unsigned number, const char *target, const char *priority, int64_t age_seconds)
{
    struct made made = {target, priority, age_seconds, NULL};

    cr_assert_not_null(note(number, number, HR__STATUS__STATUS_CREATED, &made));
}

static struct wish wish_of(const char *agent)
{
    return (struct wish){
        .tenant = "acme", .agent_id = text_of(agent), .aging_us = 300 * US_PER_SECOND};
}

// 0: nothing.
static unsigned take(const struct wish *wish)
{
    char id[UUID_TEXT_BYTES];

    return offers_take(offers, wish, id) ? (unsigned)strtoul(id + 24, NULL, 10) : 0;
}

Test(offers, are_taken_by_priority_and_then_by_age)
{
    struct wish wish = wish_of("a");

    offer(1, "a", "low", 10);
    offer(2, "a", "normal", 10);
    offer(3, "a", "normal", 20);
    offer(4, "a", "critical", 1);
    cr_assert_eq(take(&wish), 4);
    cr_assert_eq(take(&wish), 3);
    cr_assert_eq(take(&wish), 2);
    cr_assert_eq(take(&wish), 1);
    cr_assert_eq(take(&wish), 0);
}

Test(offers, gain_a_step_of_priority_by_waiting)
{
    struct wish wish = wish_of("a");

    offer(1, "a", "low", 1000);
    offer(2, "a", "high", 1);
    cr_assert_eq(take(&wish), 1);
    offer(3, "a", "low", 500);
    cr_assert_eq(take(&wish), 2);
}

Test(offers, are_for_whom_they_are_addressed_to)
{
    struct wish wish = wish_of("a");

    offer(1, "b", "critical", 10);
    offer(2, "*", "low", 10);
    cr_assert_eq(take(&wish), 2);
    cr_assert_eq(take(&wish), 0);
    wish.any = true;
    cr_assert_eq(take(&wish), 1);
    wish.tenant = "other";
    offer(3, "a", "low", 1);
    cr_assert_eq(take(&wish), 0);
}

Test(offers, need_all_the_tags_that_are_asked_for)
{
    struct made made = {"a", "low", 1, ",\"tags\":[\"x\",\"y\"]"};
    Text tags[] = {text_of("y"), text_of("z")};
    struct wish wish = wish_of("a");

    cr_assert_not_null(note(1, 1, HR__STATUS__STATUS_CREATED, &made));
    wish.tags = tags;
    wish.tag_count = 2;
    cr_assert_eq(take(&wish), 0);
    wish.tag_count = 1;
    cr_assert_eq(take(&wish), 1);
}

Test(offers, leave_when_they_are_open_no_more)
{
    struct made made = {"a", "low", 1, NULL};
    struct wish wish = wish_of("a");

    offer(1, "a", "low", 1);
    cr_assert_eq(offers_count(offers), 1);
    cr_assert_null(note(1, 2, HR__STATUS__STATUS_CLAIMED, &made));
    cr_assert_eq(offers_count(offers), 0);
    cr_assert_eq(take(&wish), 0);
    cr_assert_not_null(note(1, 3, HR__STATUS__STATUS_CREATED, &made));
    cr_assert_null(note(1, 2, HR__STATUS__STATUS_CLAIMED, &made), "that is older");
    cr_assert_eq(take(&wish), 1);
}

Test(offers, come_back_when_the_claim_was_not_made)
{
    struct made made = {"a", "low", 1, NULL};
    struct wish wish = wish_of("a");
    char id[UUID_TEXT_BYTES];

    id_of(id, 1);
    offer(1, "a", "low", 1);
    cr_assert_eq(take(&wish), 1);
    cr_assert_eq(take(&wish), 0);
    offers_put_back(offers, "acme", id);
    cr_assert_eq(take(&wish), 1);
    (void)note(1, 2, HR__STATUS__STATUS_CLAIMED, &made);
    offers_put_back(offers, "acme", id);
    cr_assert_eq(take(&wish), 0, "more is known of it meanwhile");
}
