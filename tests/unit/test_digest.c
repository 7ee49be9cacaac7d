#include "broker/base/digest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *hex_of(const uint8_t digest[DIGEST_BYTES])
{
    static char text[DIGEST_HEX_BYTES];

    hex_format(text, digest, DIGEST_BYTES);
    return text;
}

Test(digest, gives_the_known_answers_of_sha_256)
{
    uint8_t digest[DIGEST_BYTES];

    digest_of(digest, "", 0);
    cr_assert_str_eq(hex_of(digest),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_of(digest, "abc", 3);
    cr_assert_str_eq(hex_of(digest),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_of(digest, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    cr_assert_str_eq(hex_of(digest),
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(digest, of_pieces_frames_each_by_its_length)
{
    // Two pieces are the same bytes as one text with both frames written out.
    static const char written[] = "\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c";
    uint8_t framed[DIGEST_BYTES];
    uint8_t direct[DIGEST_BYTES];
    uint8_t other[DIGEST_BYTES];

    digest_of_pieces(framed,
                     (struct piece[]){
                         {"ab", 2},
                         {"c",  1}
    },
                     2);
    digest_of(direct, written, sizeof written - 1);
    cr_assert(bytes_equal(framed, direct, DIGEST_BYTES));
    digest_of_pieces(other,
                     (struct piece[]){
                         {"a",  1},
                         {"bc", 2}
    },
                     2);
    cr_assert_not(bytes_equal(framed, other, DIGEST_BYTES));
    digest_of_pieces(other,
                     (struct piece[]){
                         {"ab", 2},
                         {"c",  1},
                         {NULL, 0}
    },
                     3);
    cr_assert_not(bytes_equal(framed, other, DIGEST_BYTES), "an empty piece counts too");
}

Test(base64url, gives_the_known_answers)
{
    static const struct {
        const char *bytes;
        const char *text;
    } cases[] = {
        {"",             ""        },
        {"f",            "Zg"      },
        {"fo",           "Zm8"     },
        {"foo",          "Zm9v"    },
        {"foob",         "Zm9vYg"  },
        {"fooba",        "Zm9vYmE" },
        {"foobar",       "Zm9vYmFy"},
        {"\xfb\xff\xbf", "-_-_"    },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes_len = strlen(cases[i].bytes);
        uint8_t bytes[16];
        char text[32];
        size_t len;

        cr_assert_eq(base64url_format(text, (const uint8_t *)cases[i].bytes, bytes_len),
                     strlen(cases[i].text));
        cr_assert_str_eq(text, cases[i].text);
        cr_assert(base64url_parse(text, strlen(text), bytes, sizeof bytes, &len));
        cr_assert_eq(len, bytes_len);
        cr_assert_eq(memcmp(bytes, cases[i].bytes, len), 0);
    }
}

Test(base64url, is_read_strictly)
{
    static const char *const wrong[] = {
        "Z",   "Zm9vY",                              // no byte has six bits
        "Zg=", "Zg==",                               // padded
        "Zh",  "Zm9",                                // bits that no byte carries
        "+/",  "Zm 9v", "Zm9v\n", "\xc3\xa4", "Zm.v" // another alphabet
    };
    uint8_t bytes[16];
    size_t len = 42;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not(base64url_parse(wrong[i], strlen(wrong[i]), bytes, sizeof bytes, &len), "%s",
                      wrong[i]);
    cr_assert_not(base64url_parse("Zm\0v", 4, bytes, sizeof bytes, &len));
    cr_assert_not(base64url_parse("Zm9v", 4, bytes, 2, &len), "there is no room for it");
    cr_assert_eq(len, 42);
    cr_assert(base64url_parse("Zm9v", 4, bytes, 3, &len));
}

Test(bytes, are_equal_only_when_all_are)
{
    cr_assert(bytes_equal("abc", "abc", 3));
    cr_assert_not(bytes_equal("abc", "abd", 3));
    cr_assert_not(bytes_equal("abc", "bbc", 3));
    cr_assert(bytes_equal("abc", "xyz", 0));
}

Test(digest, base64_is_that_of_rfc_4648)
{
    static const char *const pairs[][2] = {
        {"",       ""        },
        {"f",      "Zg=="    },
        {"fo",     "Zm8="    },
        {"foo",    "Zm9v"    },
        {"foob",   "Zm9vYg=="},
        {"foobar", "Zm9vYmFy"},
    };
    uint8_t data[16];
    char text[16];
    size_t len;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cr_assert_eq(base64_format(text, pairs[i][0], strlen(pairs[i][0])), strlen(pairs[i][1]));
        cr_assert_str_eq(text, pairs[i][1]);
        cr_assert(base64_parse(pairs[i][1], strlen(pairs[i][1]), data, &len));
        cr_assert_eq(len, strlen(pairs[i][0]));
        cr_assert_arr_eq(data, pairs[i][0], len);
    }
}

Test(digest, what_is_no_base64_is_refused)
{
    static const char *const bad[] = {"A",    "AA",   "AAA",   "AA=A", "A===",  "====",
                                      " AAA", "AAA ", "AA\nA", "AA-_", "AAAA=", "\xff\xff\xff\xff"};
    uint8_t data[16];
    size_t len;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert(!base64_parse(bad[i], strlen(bad[i]), data, &len), "%s", bad[i]);
}

Test(digest, hex_is_read_back)
{
    uint8_t data[2] = {0};

    cr_assert(hex_parse("0aff", 4, data, 2));
    cr_assert_eq(data[0], 0x0a);
    cr_assert_eq(data[1], 0xff);
    cr_assert(!hex_parse("0AFF", 4, data, 2));
    cr_assert(!hex_parse("0af", 3, data, 2));
    cr_assert(!hex_parse("0afg", 4, data, 2));
}
