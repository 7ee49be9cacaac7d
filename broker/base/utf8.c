// UTF-8 validation.
#include "broker/base/utf8.h"

#include <stdint.h>
#include <string.h>

// The length of the well-formed sequence at the start of s, 0 if there is none.
static size_t sequence(const uint8_t *s, size_t len)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t need;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        need = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        need = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        need = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0; // shorter form exists
    else if (s[0] == 0xed)
        high = 0x9f; // surrogates
    else if (s[0] == 0xf0)
        low = 0x90; // shorter form exists
    else if (s[0] == 0xf4)
        high = 0x8f; // above U+10FFFF
    if (len < need || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

bool utf8_is_valid(const void *data, size_t len)
{
    const uint8_t *s = data;
    size_t i = 0;

    while (i < len) {
        uint64_t word;
        size_t n;

        // Most text is ASCII: eight bytes at a time.
        if (len - i >= 8) {
            memcpy(&word, s + i, 8);
            if ((word & 0x8080808080808080ULL) == 0) {
                i += 8;
                continue;
            }
        }
        n = sequence(s + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
