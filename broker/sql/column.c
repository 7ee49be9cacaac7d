// Texts as columns.
#include "broker/sql/column.h"

#include "broker/base/digest.h"
#include "broker/base/utf8.h"

#include <string.h>

#define SUBSTITUTE 0x1a
#define KEPT_BYTES (COLUMN_KEY_MAX - DIGEST_HEX_BYTES)

struct pg_param column_text(struct arena *arena, const void *data, size_t len)
{
    bool valid = utf8_is_valid(data, len);
    unsigned char *copy;

    if (len == 0 || (valid && memchr(data, '\0', len) == NULL))
        return pg_text(data, len);
    copy = (unsigned char *)arena_copy(arena, data, len);
    for (size_t i = 0; i < len; i++) {
        if (copy[i] == '\0' || (!valid && copy[i] >= 0x80))
            copy[i] = SUBSTITUTE;
    }
    return pg_text(copy, len);
}

struct pg_param column_key(struct arena *arena, const void *data, size_t len)
{
    struct pg_param text = column_text(arena, data, len);
    const unsigned char *bytes = text.data;
    uint8_t digest[DIGEST_BYTES];
    size_t kept = KEPT_BYTES;
    char *key;

    if (len <= COLUMN_KEY_MAX)
        return text;
    while (kept > 0 && (bytes[kept] & 0xc0) == 0x80)
        kept--; // not within a character
    key = arena_alloc(arena, kept + DIGEST_HEX_BYTES + 1);
    memcpy(key, bytes, kept);
    key[kept] = SUBSTITUTE;
    digest_of(digest, data, len);
    hex_format(key + kept + 1, digest, sizeof digest);
    return pg_text(key, kept + DIGEST_HEX_BYTES);
}

void column_plain_words(uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i];

        if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            text[i] = ' ';
    }
}

int64_t column_hash(const void *data, size_t len)
{
    uint8_t digest[DIGEST_BYTES];
    uint64_t value = 0;

    digest_of(digest, data, len);
    for (int i = 0; i < 8; i++)
        value = value << 8 | digest[i];
    return (int64_t)value;
}
