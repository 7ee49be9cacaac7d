#include "broker/base/id.h"

#include "broker/base/digest.h"

#include <criterion/criterion.h>
#include <string.h>

#define CANONICAL "0190b5a2-7c3e-7def-8123-456789abcdef"

Test(uuid, is_read_in_every_usual_spelling)
{
    static const char *const spellings[] = {
        CANONICAL,
        "0190B5A2-7C3E-7DEF-8123-456789ABCDEF",
        "0190b5a27c3e7def8123456789abcdef",
        "0190B5a27C3E7DEF8123456789abcdef",
        "{" CANONICAL "}",
        "{0190b5a27c3e7def8123456789abcdef}",
        "urn:uuid:" CANONICAL,
        "urn:uuid:{" CANONICAL "}",
    };

    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        char text[UUID_TEXT_BYTES];
        struct uuid uuid;

        cr_assert_null(uuid_parse(spellings[i], strlen(spellings[i]), &uuid), "%s", spellings[i]);
        uuid_format(text, &uuid);
        cr_assert_str_eq(text, CANONICAL);
    }
}

Test(uuid, refuses_everything_else_and_leaves_the_output_alone)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "urn:uuid:",
        "abc-123",
        "0190b5a2-7c3e-7def-8123-456789abcde",
        "0190b5a2-7c3e-7def-8123-456789abcdef0",
        "0190b5a2-7c3e-7def-8123-456789abcdeg",
        "0190b5a27-c3e-7def-8123-456789abcdef",
        "0190b5a2-7c3e7-def-8123-456789abcdef",
        "0190b5a2_7c3e_7def_8123_456789abcdef",
        "0190b5a2-7c3e-7def-8123456789-abcdef",
        "{" CANONICAL,
        CANONICAL "}",
        " " CANONICAL,
        "0x90b5a27c3e7def8123456789abcdef",
    };
    struct uuid uuid = {{42}};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not_null(uuid_parse(wrong[i], strlen(wrong[i]), &uuid), "%s", wrong[i]);
    cr_assert_eq(uuid.bytes[0], 42);
}

Test(uuid, of_a_new_one_has_version_7_and_the_rfc_variant)
{
    for (int i = 0; i < 100; i++) {
        struct uuid uuid = uuid_new();

        cr_assert_eq(uuid.bytes[6] >> 4, 7);
        cr_assert_eq(uuid.bytes[8] >> 6, 2);
    }
}

Test(uuid, of_a_later_one_does_not_sort_before_an_earlier_one)
{
    struct uuid last = uuid_new();

    for (int i = 0; i < 10000; i++) {
        struct uuid next = uuid_new();

        cr_assert_leq(memcmp(last.bytes, next.bytes, 6), 0);
        cr_assert_neq(memcmp(last.bytes, next.bytes, UUID_BYTES), 0);
        last = next;
    }
}

Test(uuid, of_a_digest_is_always_the_same_and_has_version_8)
{
    uint8_t digest[DIGEST_BYTES];
    struct uuid first;
    struct uuid second;

    memset(digest, 0xff, sizeof digest);
    first = uuid_from_digest(digest);
    second = uuid_from_digest(digest);
    cr_assert_eq(memcmp(&first, &second, sizeof first), 0);
    cr_assert_eq(first.bytes[6], 0x8f);
    cr_assert_eq(first.bytes[8], 0xbf);
    digest[15] = 0;
    second = uuid_from_digest(digest);
    cr_assert_neq(memcmp(&first, &second, sizeof first), 0);
}

Test(token, is_safe_when_it_means_nothing_in_a_subject)
{
    static const char *const safe[] = {"a", "default", "Az_09-", "-", "_"};
    static const char *const unsafe[] = {"",   "a.b", "*",  ">",        "a b",  "a\tb",  "a\nb",
                                         "$a", "a/b", "a%", "\xc3\xa4", "a\"b", "a\x7f", "a:b"};
    char longest[TOKEN_MAX + 2];

    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++)
        cr_assert(token_is_safe(safe[i], strlen(safe[i])), "%s", safe[i]);
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++)
        cr_assert_not(token_is_safe(unsafe[i], strlen(unsafe[i])), "%s", unsafe[i]);
    cr_assert_not(token_is_safe("a\0b", 3));
    memset(longest, 'x', sizeof longest);
    cr_assert(token_is_safe(longest, TOKEN_MAX));
    cr_assert_not(token_is_safe(longest, TOKEN_MAX + 1));
}
