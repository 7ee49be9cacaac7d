#include "workers/query/cursor.h"

#include "broker/base/digest.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct cursor sample = {
    .created_us = 1795176000123456, .id = {{1, 2, 3, 0xff, [15] = 9}}, .total = 10007};

Test(cursor, comes_back_as_it_was_made)
{
    const struct cursor samples[] = {
        sample, {.created_us = -1},
         { .id = {{[0] = 0xff}},      .total = 1}
    };

    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        char text[CURSOR_TEXT_BYTES];
        struct cursor back;

        cursor_format(text, &samples[i]);
        cr_assert_lt(strlen(text), sizeof text);
        cr_assert_eq(cursor_parse(&back, text, strlen(text)), RC_OK);
        cr_assert_eq(back.created_us, samples[i].created_us);
        cr_assert_eq(back.total, samples[i].total);
        cr_assert(memcmp(&back.id, &samples[i].id, sizeof back.id) == 0);
    }
}

Test(cursor, is_safe_in_a_query_string)
{
    char text[CURSOR_TEXT_BYTES];

    cursor_format(text, &sample);
    cr_assert_eq(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                 strlen(text));
}

Test(cursor, refuses_what_it_did_not_make)
{
    static const char *const garbage[] = {
        "", "not-a-cursor", "AQ", "====", "eyJjcmVhdGVkX2F0IjogIjIwMjYifQ", "\xff\xfe",
    };
    char text[CURSOR_TEXT_BYTES];
    struct cursor cursor = sample;
    size_t len;

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        cr_assert_eq(cursor_parse(&cursor, garbage[i], strlen(garbage[i])), RC_INVALID, "%s",
                     garbage[i]);
    cursor_format(text, &sample);
    len = strlen(text);
    for (size_t cut = 0; cut < len; cut++)
        cr_assert_eq(cursor_parse(&cursor, text, cut), RC_INVALID, "cut at %zu", cut);
    cr_assert_eq(cursor_parse(&cursor, strcat(text, "A"), len + 1), RC_INVALID);
    text[len] = '\0';
    text[0] = 'B'; // another version
    cr_assert_eq(cursor_parse(&cursor, text, len), RC_INVALID);
    cr_assert_eq(cursor.total, sample.total, "an output is set only on success");
}

Test(cursor, refuses_moments_and_totals_that_cannot_be)
{
    const struct cursor impossible[] = {
        {.created_us = INT64_MAX}, {.created_us = INT64_MIN}, {.total = -1}};

    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        char text[CURSOR_TEXT_BYTES];
        struct cursor back;

        cursor_format(text, &impossible[i]);
        cr_assert_eq(cursor_parse(&back, text, strlen(text)), RC_INVALID);
    }
}

Test(cursor, a_place_in_the_log_comes_back)
{
    const struct cursor_place place = {0, 3, INT64_MAX, 1};
    struct cursor_place back;
    char text[CURSOR_PLACE_TEXT_BYTES];

    cursor_place_format(text, &place);
    cr_assert_eq(cursor_place_parse(&back, text, strlen(text)), RC_OK);
    cr_assert(memcmp(&place, &back, sizeof place) == 0);
    cr_assert_eq(cursor_place_parse(&back, text, strlen(text) - 1), RC_INVALID);
    cr_assert_eq(cursor_place_parse(&back, "", 0), RC_INVALID);
}
