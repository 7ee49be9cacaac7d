// What is typed, and what Postgres is asked.
#include "workers/query/search_text.h"

#include "tests/unit/messages.h"

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

TestSuite(search_text, .init = set_up, .fini = tear_down);

#define ASSERT_ASKS(typed, asked) ASSERT_TEXT(search_text(memory, text_of(typed)), asked)

Test(search_text, wants_every_word)
{
    ASSERT_ASKS("refund", "'refund'");
    ASSERT_ASKS("  refund\tcustomer \n", "'refund' & 'customer'");
}

Test(search_text, knows_phrases_alternatives_exclusions_and_beginnings)
{
    ASSERT_ASKS("\"late refund\"", "'late refund'");
    ASSERT_ASKS("refund OR credit", "'refund' | 'credit'");
    ASSERT_ASKS("refund or credit", "'refund' | 'credit'");
    ASSERT_ASKS("refund -credit", "'refund' & !'credit'");
    ASSERT_ASKS("-\"late refund\" x", "!'late refund' & 'x'");
    ASSERT_ASKS("hel*", "'hel':*");
    ASSERT_ASKS("-hel** \"or\"", "!'hel':* & 'or'");
}

Test(search_text, lets_no_operator_through)
{
    ASSERT_ASKS("a' & 'b", "'a ' & ' b'");
    ASSERT_ASKS("a\\", "'a '");
    ASSERT_ASKS("(a|b):* !c <-> d", "' a b  ':* & ' c' & 'd'");
}

Test(search_text, looks_for_codes_and_addresses_as_phrases)
{
    ASSERT_ASKS("INV-2024/77", "'INV 2024 77'");
    ASSERT_ASKS("ann@example.org -foo_bar*", "'ann example org' & !'foo bar':*");
    ASSERT_ASKS("caf\xc3\xa9-cr\xc3\xa8me", "'caf\xc3\xa9 cr\xc3\xa8me'");
}

Test(search_text, of_nothing_to_look_for_is_empty)
{
    ASSERT_ASKS("", "");
    ASSERT_ASKS("or", "");
    ASSERT_ASKS("OR OR -- * \"\" ' & | !", "");
    ASSERT_ASKS("a OR", "'a'");
    ASSERT_ASKS("or a or or b", "'a' | 'b'");
}

Test(search_text, takes_what_is_not_closed_to_the_end)
{
    ASSERT_ASKS("\"late refund", "'late refund'");
    ASSERT_ASKS("a\"b c", "'a' & 'b c'");
}

Test(search_text, turns_a_nul_into_a_blank)
{
    Text typed = {3, (uint8_t *)"a\0b"};

    ASSERT_TEXT(search_text(memory, typed), "'a' & 'b'");
}

Test(search_text, stops_at_so_many_words)
{
    char typed[4 * SEARCH_UNITS_MAX + 1];
    size_t quotes = 0;
    Text asked;

    for (size_t i = 0; i < 2 * SEARCH_UNITS_MAX; i++)
        memcpy(typed + 2 * i, "a ", 2);
    typed[sizeof typed - 1] = '\0';
    asked = search_text(memory, text_of(typed));
    for (size_t i = 0; i < asked.len; i++)
        quotes += asked.data[i] == '\'';
    cr_assert_eq(quotes, 2 * SEARCH_UNITS_MAX);
}
