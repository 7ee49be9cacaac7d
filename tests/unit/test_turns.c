#include "workers/webhook/turns.h"

#include <criterion/criterion.h>

#define TURNS 12

static struct turns turns;
static struct turn some[TURNS];

static void on_begin(struct turn *turn)
{
    (void)turn;
}

static void setup(void)
{
    turns = (struct turns){
        .limits = {.total = 4, .per_hook = 2, .waiting = 5, .waiting_per_hook = 3}
    };
    for (size_t i = 0; i < TURNS; i++)
        some[i] = (struct turn){.hook = i % 2 == 0 ? "even" : "odd", .begin = on_begin};
}

TestSuite(turns, .init = setup);

Test(turns, so_many_of_a_hook_run_and_the_next_follows)
{
    for (size_t i = 0; i < 8; i += 2)
        turns_ask(&turns, &some[i]);
    cr_assert(some[0].has_begun && some[2].has_begun);
    cr_assert(!some[4].has_begun && !some[6].has_begun);
    turns_end(&turns, &some[2]);
    cr_assert(some[4].has_begun && !some[6].has_begun);
}

Test(turns, one_hook_does_not_hold_up_another)
{
    for (size_t i = 0; i < 8; i += 2)
        turns_ask(&turns, &some[i]);
    turns_ask(&turns, &some[1]);
    cr_assert(some[1].has_begun);
}

Test(turns, so_many_run_in_all)
{
    turns.limits.per_hook = 12;
    for (size_t i = 0; i < 6; i++)
        turns_ask(&turns, &some[i]);
    cr_assert(some[3].has_begun && !some[4].has_begun);
    turns_end(&turns, &some[0]);
    cr_assert(some[4].has_begun && !some[5].has_begun);
}

Test(turns, they_are_full_for_a_hook_before_they_are_for_all)
{
    for (size_t i = 0; i < 10; i += 2)
        turns_ask(&turns, &some[i]);
    cr_assert(turns_are_full(&turns, "even"));
    cr_assert(!turns_are_full(&turns, "odd"));
    cr_assert(!turns_are_full(&turns, NULL));
    for (size_t i = 1; i < 8; i += 2)
        turns_ask(&turns, &some[i]);
    cr_assert(turns_are_full(&turns, NULL));
}

static void on_begin_and_end(struct turn *turn)
{
    turns_end(&turns, turn);
}

Test(turns, one_may_end_as_it_begins)
{
    for (size_t i = 0; i < TURNS; i++) {
        some[i].begin = on_begin_and_end;
        turns_ask(&turns, &some[i]);
        cr_assert(some[i].has_begun);
    }
    cr_assert_null(turns.running);
    cr_assert_null(turns.waiting);
}
