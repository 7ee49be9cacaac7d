#include "broker/sql/column.h"

#include "broker/base/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(arena);
}

TestSuite(column, .init = set_up, .fini = tear_down);

static void expect(struct pg_param param, const char *bytes, size_t len)
{
    cr_assert_eq(param.len, len);
    cr_assert(memcmp(param.data, bytes, len) == 0);
}

Test(column, plain_text_is_borrowed)
{
    const char *text = "agent-1 \xc3\xbc";
    struct pg_param param = column_key(arena, text, strlen(text));

    cr_assert_eq(param.data, text);
    cr_assert_eq(param.len, strlen(text));
    expect(column_text(arena, NULL, 0), "", 0);
}

Test(column, what_text_cannot_hold_is_substituted)
{
    expect(column_text(arena, "a\0b", 3),
           "a\x1a"
           "b",
           3);
    expect(column_text(arena, "\0", 1), "\x1a", 1);
    expect(column_text(arena, "a\xff\xc3\xbc", 4), "a\x1a\x1a\x1a", 4);
}

Test(column, long_keys_are_cut_but_stay_different)
{
    char text[2000];
    struct pg_param first;
    struct pg_param second;

    memset(text, 'x', sizeof text);
    expect(column_key(arena, text, COLUMN_KEY_MAX), text, COLUMN_KEY_MAX);
    first = column_key(arena, text, sizeof text);
    text[sizeof text - 1] = 'y';
    second = column_key(arena, text, sizeof text);
    cr_assert_leq(first.len, COLUMN_KEY_MAX);
    cr_assert_eq(first.len, second.len);
    cr_assert(memcmp(first.data, second.data, first.len) != 0);
    cr_assert_not_null(memchr(first.data, 0x1a, first.len));
    cr_assert_eq(column_text(arena, text, sizeof text).len, sizeof text,
                 "text that is no key is kept");
}

Test(column, a_key_is_cut_between_characters)
{
    char text[1200];

    for (size_t shift = 0; shift < 3; shift++) {
        size_t len = shift;
        struct pg_param param;

        memset(text, 'x', shift);
        for (; len + 3 <= sizeof text; len += 3)
            memcpy(text + len, "\xe2\x82\xac", 3);
        param = column_key(arena, text, len);
        cr_assert(utf8_is_valid(param.data, param.len));
    }
}

Test(column, an_array_that_is_too_large_is_refused_and_not_built)
{
    const size_t piece = 16u << 20;
    char *bytes = calloc(1, piece);
    struct pg_array array;
    struct pg_param param;

    pg_array_init(&array, PG_BYTEA);
    for (int i = 0; i < 8; i++)
        pg_array_append(&array, pg_bytea(bytes, piece));
    for (int i = 0; i < 1000; i++) // adds nothing any more
        pg_array_append(&array, pg_bytea(bytes, piece));
    cr_assert_eq(pg_array_param(&array, &param), RC_TOO_LARGE);
    pg_array_reset(&array);
    cr_assert_eq(pg_array_param(&array, &param), RC_OK);
    pg_array_fini(&array);
    free(bytes);
}
