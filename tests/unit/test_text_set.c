// A set of texts and what is kept beside them.
#include "broker/message/text_set.h"

#include <criterion/criterion.h>

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(text_set, .init = set_up, .fini = tear_down);

Test(text_set, knows_what_was_put_into_it)
{
    struct text_set set = {.arena = memory};
    size_t value = 7;

    cr_assert_not(text_set_get(&set, text_of("a"), &value));
    for (size_t i = 0; i < 5000; i++)
        text_set_put(&set, text_of(arena_printf(memory, "%0*zu", (int)(i % 40), i)), i);
    for (size_t i = 0; i < 5000; i++) {
        cr_assert(
            text_set_get(&set, text_of(arena_printf(memory, "%0*zu", (int)(i % 40), i)), &value));
        cr_assert_eq(value, i);
    }
    cr_assert_not(text_set_has(&set, text_of("x")));
    cr_assert_eq(set.count, 5000);
}

Test(text_set, keeps_what_came_first)
{
    struct text_set set = {.arena = memory};
    size_t value;

    text_set_put(&set, text_of("a"), 1);
    text_set_put(&set, text_of("a"), 2);
    cr_assert(text_set_get(&set, text_of("a"), &value));
    cr_assert_eq(value, 1);
    text_set_add(&set, (Text){0, NULL});
    cr_assert(text_set_has(&set, text_of("")));
}

Test(text_set, places_the_same_texts_differently_each_time)
{
    struct text_set sets[2] = {{.arena = memory}, {.arena = memory}};

    text_set_add(&sets[0], text_of("a"));
    text_set_add(&sets[1], text_of("a"));
    cr_assert(sets[0].key[0] != sets[1].key[0] && sets[0].key[1] != sets[1].key[1]);
}
