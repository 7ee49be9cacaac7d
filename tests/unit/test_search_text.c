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
    char typed[4 * SEARCH_WORDS_MAX + 1];
    size_t quotes = 0;
    Text asked;

    for (size_t i = 0; i < 2 * SEARCH_WORDS_MAX; i++)
        memcpy(typed + 2 * i, "a ", 2);
    typed[sizeof typed - 1] = '\0';
    asked = search_text(memory, text_of(typed));
    for (size_t i = 0; i < asked.len; i++)
        quotes += asked.data[i] == '\'';
    cr_assert_eq(quotes, 2 * SEARCH_WORDS_MAX);
}

static size_t words_in(Text asked)
{
    size_t count = 0;

    for (size_t i = 0; i < asked.len; i++)
        count += asked.data[i] != ' ' && asked.data[i] != '\'' &&
                 (i == 0 || asked.data[i - 1] == ' ' || asked.data[i - 1] == '\'');
    return count;
}

Test(search_text, counts_the_words_of_a_phrase)
{
    char typed[2000];

    for (size_t i = 0; i < sizeof typed; i++)
        typed[i] = i % 2 == 0 ? 'a' : '-';
    cr_assert_eq(words_in(search_text(memory, (Text){sizeof typed, (uint8_t *)typed})),
                 SEARCH_WORDS_MAX);
    for (size_t i = 0; i + 3 <= sizeof typed; i += 3)
        memcpy(typed + i, "\xe9\x80\x80", 3);
    cr_assert_eq(words_in(search_text(memory, (Text){1998, (uint8_t *)typed})), SEARCH_WORDS_MAX);
}

Test(search_text, looks_for_pairs_of_characters_and_for_what_was_stored_before)
{
    ASSERT_ASKS("退款", "('退款' | '退款 ')");
    ASSERT_ASKS("退", "'退':*");
    ASSERT_ASKS("-退款单 x", "!('退款单' | '退款 款单 ') & 'x'");
    ASSERT_ASKS("使用GitHub", "('使用GitHub' | '使用 用 GitHub')");
    ASSERT_ASKS("🎉", "('🎉' | 'emoji1f389 ')");
    ASSERT_ASKS("，。", "");
    ASSERT_ASKS("срок", "'срок'");
}

Test(search_text, counts_what_is_excluded)
{
    cr_assert_eq(search_excluded(text_of("-a b -\"c d\" -- - e-f")), 3);
    cr_assert_eq(search_excluded(text_of("")), 0);
}
