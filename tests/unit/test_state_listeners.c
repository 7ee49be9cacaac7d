// Listeners to the connection's state that come and go while they are being called.
#include "broker/nats/state_listeners.h"

#include <criterion/criterion.h>

static struct state_listeners listeners;
static int calls[4];

static void set_up(void)
{
    listeners = (struct state_listeners){0};
    for (size_t i = 0; i < 4; i++)
        calls[i] = 0;
}

static void tear_down(void)
{
    state_listeners_fini(&listeners);
}

TestSuite(state_listeners, .init = set_up, .fini = tear_down);

static void count(void *ctx, bool up)
{
    (void)up;
    (*(int *)ctx)++;
}

static void remove_self(void *ctx, bool up)
{
    count(ctx, up);
    state_listeners_remove(&listeners, ctx);
}

static void remove_last(void *ctx, bool up)
{
    count(ctx, up);
    state_listeners_remove(&listeners, &calls[3]);
}

static void add_many(void *ctx, bool up)
{
    count(ctx, up);
    for (int i = 0; i < 100; i++)
        state_listeners_add(&listeners, count, &calls[3]);
}

Test(state_listeners, all_hear_of_a_change_when_one_leaves_in_its_call)
{
    state_listeners_add(&listeners, remove_self, &calls[0]);
    state_listeners_add(&listeners, count, &calls[1]);
    state_listeners_add(&listeners, count, &calls[2]);
    state_listeners_call(&listeners, false);
    cr_assert(calls[0] == 1 && calls[1] == 1 && calls[2] == 1);
    state_listeners_call(&listeners, true);
    cr_assert(calls[0] == 1 && calls[1] == 2 && calls[2] == 2);
    cr_assert_eq(listeners.count, 2);
}

Test(state_listeners, one_that_was_removed_in_a_call_is_not_called_any_more)
{
    state_listeners_add(&listeners, remove_last, &calls[0]);
    state_listeners_add(&listeners, count, &calls[3]);
    state_listeners_call(&listeners, false);
    cr_assert(calls[0] == 1 && calls[3] == 0);
}

Test(state_listeners, those_added_in_a_call_hear_of_the_next_change)
{
    state_listeners_add(&listeners, add_many, &calls[0]);
    state_listeners_add(&listeners, count, &calls[1]);
    state_listeners_call(&listeners, false);
    cr_assert(calls[0] == 1 && calls[1] == 1 && calls[3] == 0);
    state_listeners_call(&listeners, true);
    cr_assert_eq(calls[3], 100);
}
