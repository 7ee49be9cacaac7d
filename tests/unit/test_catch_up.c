// Who may catch up: a bounded number, in turn between tenants, and nobody forever.
#include "gateway/live/parts.h"
#include "tests/unit/fake_rail.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TENANTS 3
#define LISTENERS 60 // of each tenant
#define PLACES 32
#define SECOND_US 1000000

static struct live live;
static struct tail tails[TENANTS];
static struct listener listeners[TENANTS][LISTENERS];
static bool reads[TENANTS][LISTENERS]; // its client takes what comes
static bool moves;                     // NATS delivers
static size_t started[TENANTS];

static struct listener *first_started;

void listener_start_catching(struct listener *listener)
{
    started[listener->tail - tails]++;
    if (first_started == NULL)
        first_started = listener;
}

bool listener_stop_catching(struct listener *listener)
{
    size_t tenant = (size_t)(listener->tail - tails);

    return !reads[tenant][listener - listeners[tenant]];
}

bool listener_has_come_further(const struct listener *listener)
{
    (void)listener;
    return moves;
}

static void set_up(void)
{
    fake_rail_open();
    memset(&live, 0, sizeof live);
    memset(tails, 0, sizeof tails);
    memset(listeners, 0, sizeof listeners);
    memset(started, 0, sizeof started);
    memset(reads, true, sizeof reads);
    moves = true;
    first_started = NULL;
    for (size_t t = 0; t < TENANTS; t++) {
        tails[t].live = &live;
        for (size_t i = 0; i < LISTENERS; i++)
            listeners[t][i].tail = &tails[t];
    }
}

TestSuite(catch_up, .init = set_up, .fini = fake_rail_close);

static void ask_all(size_t tenant)
{
    for (size_t i = 0; i < LISTENERS; i++)
        turns_ask(&listeners[tenant][i]);
}

static size_t count(size_t tenant, enum turn turn)
{
    size_t found = 0;

    for (size_t i = 0; i < LISTENERS; i++)
        found += listeners[tenant][i].turn == turn;
    return found;
}

static size_t catching(void)
{
    return count(0, TURN_CATCHING) + count(1, TURN_CATCHING) + count(2, TURN_CATCHING);
}

static void tick(int64_t us)
{
    fake_pass_us(us);
    turns_tick(&live);
}

Test(catch_up, a_bounded_number_does_and_the_others_follow_as_places_become_free)
{
    ask_all(0);
    cr_assert_eq(catching(), PLACES);
    for (size_t i = 0; i < LISTENERS; i++) {
        cr_assert_eq(listeners[0][i].turn, TURN_CATCHING, "listener %zu", i);
        turns_leave(&listeners[0][i]);
    }
    cr_assert_eq(started[0], LISTENERS);
    cr_assert_eq(catching() + live.catching_count + live.waiting_count, 0);
}

Test(catch_up, tenants_take_turns)
{
    ask_all(0);
    ask_all(1);
    ask_all(2);
    for (size_t i = 0; i < PLACES; i++)
        turns_leave(&listeners[0][i]);
    cr_assert_eq(catching(), PLACES);
    for (size_t t = 0; t < TENANTS; t++)
        cr_assert_geq(count(t, TURN_CATCHING), PLACES / TENANTS, "tenant %zu", t);
}

Test(catch_up, a_place_goes_to_the_next_after_a_while_and_nobody_is_forgotten)
{
    ask_all(0);
    ask_all(1);
    for (int second = 0; second < 20; second++)
        tick(SECOND_US);
    cr_assert_eq(catching(), PLACES);
    cr_assert_geq(started[0], LISTENERS);
    cr_assert_geq(started[1], LISTENERS);
    cr_assert_eq(count(0, TURN_CATCHING) + count(0, TURN_WAITING), LISTENERS);
    cr_assert_eq(count(1, TURN_CATCHING) + count(1, TURN_WAITING), LISTENERS);
}

Test(catch_up, nobody_loses_a_place_that_nobody_else_wants)
{
    for (size_t i = 0; i < PLACES; i++)
        turns_ask(&listeners[0][i]);
    tick(60 * SECOND_US);
    cr_assert_eq(started[0], PLACES);
    turns_ask(&listeners[1][0]);
    first_started = NULL;
    tick(SECOND_US);
    cr_assert_eq(first_started, &listeners[1][0]);
    cr_assert_eq(count(0, TURN_WAITING), 1);
}

Test(catch_up, one_whose_client_does_not_read_is_parked_until_it_does)
{
    for (size_t i = 0; i < PLACES; i++)
        reads[0][i] = false;
    for (size_t i = 0; i < PLACES; i++)
        turns_ask(&listeners[0][i]);
    ask_all(1);
    cr_assert_eq(started[1], 0);
    tick(2 * SECOND_US);
    cr_assert_eq(started[1], PLACES);
    cr_assert_eq(count(0, TURN_PARKED), PLACES);
    tick(10 * SECOND_US);
    cr_assert_eq(started[0], PLACES, "they get no second place by themselves");
    turns_ask(&listeners[0][0]);
    cr_assert_eq(listeners[0][0].turn, TURN_WAITING);
    tick(10 * SECOND_US);
    cr_assert_eq(listeners[0][0].turn, TURN_CATCHING);
}

Test(catch_up, a_slow_nats_does_not_take_the_place_before_anything_was_read)
{
    moves = false;
    ask_all(0);
    tick(5 * SECOND_US);
    cr_assert_eq(started[0], PLACES);
    tick(6 * SECOND_US);
    cr_assert_eq(started[0], LISTENERS);
}

Test(catch_up, who_waits_or_is_parked_may_leave)
{
    reads[0][0] = false;
    ask_all(0);
    ask_all(1);
    tick(2 * SECOND_US);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < LISTENERS; i++)
            turns_leave(&listeners[t][i]);
    }
    cr_assert_eq(live.catching_count + live.waiting_count, 0);
    cr_assert(live.waiting == NULL && live.catching == NULL);
}
