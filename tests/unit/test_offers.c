// What claim-next picks: the best that fits, once.
#include "workers/claim/offers.h"

#include "tests/unit/messages.h"

#include <stdio.h>

#define STEPS 50 // of a turn

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
    const char *more;     // of the metadata
    const char *declined; // by this agent
};

static void id_of(char id[UUID_TEXT_BYTES], unsigned number)
{
    (void)snprintf(id, UUID_TEXT_BYTES, "0190b5a2-7c3e-7def-8123-%012u", number);
}

static void decline(Hr__Packet *packet, const char *agent)
{
    Hr__Decline *declined = wire_new(memory, &hr__decline__descriptor);

    declined->has_agent_id = true;
    declined->agent_id = text_of(agent);
    packet->declined = arena_calloc(memory, 1, sizeof(Hr__Decline *));
    packet->declined[0] = declined;
    packet->n_declined = 1;
}

static struct offer *note(unsigned number, uint64_t sequence, Hr__Status status,
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
    if (made->declined != NULL)
        decline(record->packet, made->declined);
    return offers_note(offers, "acme", id, &stored);
}

static void offer(unsigned number, const char *target, const char *priority, int64_t age_seconds)
{
    struct made made = {target, priority, age_seconds, NULL, NULL};

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

    struct search search;
    size_t steps = SIZE_MAX;

    offers_search(offers, wish, &search);
    if (offers_take(offers, wish, &search, &steps, id) != LOOK_FOUND)
        return 0;
    return (unsigned)strtoul(id + 24, NULL, 10);
}

// Goes on until it is over.
static unsigned look_on(const struct wish *wish, struct search *search, unsigned *turns)
{
    char id[UUID_TEXT_BYTES];
    enum look look;

    for (*turns = 1;; ++*turns) {
        size_t steps = STEPS;

        look = offers_take(offers, wish, search, &steps, id);
        cr_assert_leq(steps, STEPS);
        if (look != LOOK_UNFINISHED)
            break;
        cr_assert_lt(*turns, 1000, "it does not get on");
    }
    return look == LOOK_FOUND ? (unsigned)strtoul(id + 24, NULL, 10) : 0;
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
    struct made made = {"a", "low", 1, ",\"tags\":[\"x\",\"y\"]", NULL};
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
    struct made made = {"a", "low", 1, NULL, NULL};
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
    struct made made = {"a", "low", 1, NULL, NULL};
    struct wish wish = wish_of("a");
    char id[UUID_TEXT_BYTES];

    id_of(id, 1);
    offer(1, "a", "low", 1);
    cr_assert_eq(take(&wish), 1);
    cr_assert_eq(take(&wish), 0);
    cr_assert_not_null(offers_put_back(offers, "acme", id));
    cr_assert_null(offers_put_back(offers, "acme", id), "it is there already");
    cr_assert_eq(take(&wish), 1);
    (void)note(1, 2, HR__STATUS__STATUS_CLAIMED, &made);
    cr_assert_null(offers_put_back(offers, "acme", id));
    cr_assert_eq(take(&wish), 0, "more is known of it meanwhile");
}

static void offer_tagged(unsigned number, const char *target, const char *tags)
{
    struct made made = {target, "normal", 100000 - number, NULL, NULL};

    made.more = arena_printf(memory, ",\"tags\":[%s]", tags);
    cr_assert_not_null(note(number, number, HR__STATUS__STATUS_CREATED, &made));
}

Test(offers, are_found_behind_any_number_that_do_not_fit)
{
    Text tags[] = {text_of("x"), text_of("y")};
    struct wish wish = wish_of("a");
    struct search search;
    unsigned turns;

    wish.tags = tags;
    wish.tag_count = 2;
    for (unsigned i = 1; i <= 6000; i++)
        offer_tagged(i, "a", i % 2 == 0 ? "\"x\"" : "\"y\"");
    offer_tagged(6001, "a", "\"x\",\"y\"");
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 6001);
    cr_assert_gt(turns, 1);
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 0);
}

Test(offers, of_a_rare_tag_are_found_at_once)
{
    Text tags[] = {text_of("common"), text_of("rare")};
    struct wish wish = wish_of("a");
    struct search search;
    unsigned turns;

    wish.any = true;
    wish.tags = tags;
    wish.tag_count = 2;
    for (unsigned i = 1; i <= 1000; i++)
        offer_tagged(i, "b", "\"common\"");
    offer_tagged(1001, "b", "\"rare\",\"common\",\"rare\"");
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 1001);
    cr_assert_eq(turns, 1);
}

Test(offers, for_others_alone_are_in_nobodys_way)
{
    struct made made = {"b", "normal", 1000, ",\"claim_policy\":\"addressed\"", NULL};
    struct wish wish = wish_of("a");
    struct search search;
    unsigned turns;

    wish.any = true;
    for (unsigned i = 1; i <= 1000; i++)
        cr_assert_not_null(note(i, i, HR__STATUS__STATUS_CREATED, &made));
    made.target = "a";
    made.age_seconds = 1;
    cr_assert_not_null(note(1001, 1001, HR__STATUS__STATUS_CREATED, &made));
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 1001);
    cr_assert_eq(turns, 1);
}

Test(offers, that_come_where_was_looked_already_are_found)
{
    Text tags[] = {text_of("x"), text_of("y")};
    struct made older = {"a", "normal", 200000, ",\"tags\":[\"y\",\"x\"]", NULL};
    struct wish wish = wish_of("a");
    char id[UUID_TEXT_BYTES];
    struct search search;
    size_t steps = STEPS;
    unsigned turns;

    wish.tags = tags;
    wish.tag_count = 2;
    for (unsigned i = 2; i <= 300; i++)
        offer_tagged(i, "a", i % 2 == 0 ? "\"x\"" : "\"y\"");
    offers_search(offers, &wish, &search);
    cr_assert_eq(offers_take(offers, &wish, &search, &steps, id), LOOK_UNFINISHED);
    cr_assert_eq(steps, 0);
    search_note(&search, &wish, note(1, 1000, HR__STATUS__STATUS_CREATED, &older));
    cr_assert_eq(look_on(&wish, &search, &turns), 1);
}

Test(offers, stay_in_their_order_when_a_look_takes_several_turns)
{
    Text tags[] = {text_of("x"), text_of("y")};
    struct wish wish = wish_of("a");
    struct made urgent = {"a", "critical", 1, ",\"tags\":[\"x\",\"y\"]", NULL};
    struct search search;
    unsigned turns;

    wish.tags = tags;
    wish.tag_count = 2;
    wish.aging_us = 1000000 * US_PER_SECOND;
    for (unsigned i = 1; i <= 300; i++)
        offer_tagged(i, "a", i % 2 == 0 ? "\"x\"" : "\"y\"");
    offer_tagged(301, "a", "\"x\",\"y\"");
    cr_assert_not_null(note(302, 302, HR__STATUS__STATUS_CREATED, &urgent));
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 302);
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 301);
}

Test(offers, that_were_declined_are_passed_over_however_many)
{
    struct made made = {"a", "normal", 100, NULL, "a"};
    struct wish wish = wish_of("a");
    struct search search;
    unsigned turns;

    for (unsigned i = 1; i <= 500; i++)
        cr_assert_not_null(note(i, i, HR__STATUS__STATUS_CREATED, &made));
    offer(501, "a", "normal", 1);
    offers_search(offers, &wish, &search);
    cr_assert_eq(look_on(&wish, &search, &turns), 501);
}
