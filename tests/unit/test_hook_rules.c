#include "workers/webhook/hook_rules.h"

#include <criterion/criterion.h>

#define HOUR 3600000000LL

static struct arena *arena;
static Hr__Hook *hook;
static const Hr__SealedSecret *old[OLD_SECRETS_MAX];

static Hr__SealedSecret *secret(uint32_t number)
{
    Hr__SealedSecret *made = wire_new(arena, &hr__sealed_secret__descriptor);

    made->has_key = true;
    made->key = number;
    return made;
}

static void set_up(void)
{
    arena = arena_create(4096);
    hook = wire_new(arena, &hr__hook__descriptor);
    hook->secret = secret(1);
}

static void tear_down(void)
{
    arena_destroy(arena);
}

TestSuite(hook_rules, .init = set_up, .fini = tear_down);

static void rotate(uint32_t number, int64_t now_us, int64_t until_us)
{
    cr_assert(hook_retire_secret(hook, arena, now_us, until_us));
    hook->secret = secret(number);
}

Test(hook_rules, the_last_one_replaced_comes_first_and_each_has_its_own_end)
{
    rotate(2, HOUR, 24 * HOUR);
    rotate(3, 2 * HOUR, 25 * HOUR);
    cr_assert_eq(hook_old_secrets(hook, 3 * HOUR, old), 2);
    cr_assert_eq(old[0]->key, 2);
    cr_assert_eq(old[1]->key, 1);
    cr_assert_eq(hook_old_secrets(hook, 24 * HOUR, old), 1);
    cr_assert_eq(old[0]->key, 2);
    cr_assert_eq(hook_old_secrets(hook, 25 * HOUR, old), 0);
}

Test(hook_rules, none_is_ended_early)
{
    for (uint32_t i = 0; i < OLD_SECRETS_MAX; i++)
        rotate(i + 2, HOUR, (10 + i) * HOUR);
    cr_assert(!hook_retire_secret(hook, arena, 2 * HOUR, 20 * HOUR));
    cr_assert_eq(hook_old_secrets(hook, 2 * HOUR, old), OLD_SECRETS_MAX);
    cr_assert(hook_retire_secret(hook, arena, 10 * HOUR, 20 * HOUR));
    cr_assert_eq(hook->n_old_secrets, OLD_SECRETS_MAX);
}

Test(hook_rules, what_an_earlier_version_wrote_still_signs)
{
    hook->old_secret = secret(9);
    hook->old_until = wire_timestamp(arena, 5 * HOUR);
    cr_assert_eq(hook_old_secrets(hook, HOUR, old), 1);
    cr_assert_eq(old[0]->key, 9);
    rotate(2, HOUR, 24 * HOUR);
    cr_assert_null(hook->old_secret);
    cr_assert_eq(hook_old_secrets(hook, HOUR, old), 2);
    cr_assert_eq(old[1]->key, 9);
}
