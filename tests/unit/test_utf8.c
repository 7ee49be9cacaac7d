#include "broker/base/utf8.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

// The shortest encoding of any number, as a lenient encoder would write it.
static size_t encode(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

Test(utf8, accepts_every_character_and_no_surrogate)
{
    for (uint32_t code = 0; code < 0x1fffff; code++) {
        bool is_character = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        uint8_t bytes[4];
        size_t len = encode(bytes, code);

        cr_assert_eq(utf8_is_valid(bytes, len), is_character, "U+%04X", code);
        if (len > 1)
            cr_assert_not(utf8_is_valid(bytes, len - 1), "U+%04X cut", code);
    }
}

// A second opinion: the table of well-formed sequences in the Unicode standard, for every pair of
// leading bytes, with continuations that are always good.
Test(utf8, accepts_exactly_the_well_formed_first_two_bytes)
{
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            const uint8_t bytes[4] = {(uint8_t)first, (uint8_t)second, 0x80, 0xbf};
            size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
            bool good;

            if (first < 0x80)
                good = second < 0x80;
            else if (first < 0xc2 || first > 0xf4)
                good = false;
            else if (first == 0xe0)
                good = second >= 0xa0 && second <= 0xbf;
            else if (first == 0xed)
                good = second >= 0x80 && second <= 0x9f;
            else if (first == 0xf0)
                good = second >= 0x90 && second <= 0xbf;
            else if (first == 0xf4)
                good = second >= 0x80 && second <= 0x8f;
            else
                good = second >= 0x80 && second <= 0xbf;
            cr_assert_eq(utf8_is_valid(bytes, len), good, "%02x %02x", first, second);
        }
    }
}

Test(utf8, finds_a_bad_byte_at_every_distance_from_the_eight_byte_steps)
{
    uint8_t text[40];

    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, 'x', sizeof text);
        cr_assert(utf8_is_valid(text, len));
        for (size_t at = 0; at < len; at++) {
            text[at] = 0xff;
            cr_assert_not(utf8_is_valid(text, len), "%zu of %zu", at, len);
            text[at] = 'x';
        }
    }
}

Test(utf8, takes_no_text_at_all_and_nul_for_valid)
{
    cr_assert(utf8_is_valid(NULL, 0));
    cr_assert(utf8_is_valid("a\0b", 3));
}
