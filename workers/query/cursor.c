// A cursor is base64url of: version, created_us, id, total; numbers big-endian.
//
// It is not signed: it can say nothing that a client could not ask for with filters, always within
// its own tenant.
#include "workers/query/cursor.h"

#include "broker/base/digest.h"
#include "broker/base/timestamp.h"

#include <string.h>

#define VERSION 1
#define BYTES (1 + 8 + UUID_BYTES + 8)

static void put(uint8_t *out, int64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)value >> (8 * (7 - i)));
}

static int64_t get(const uint8_t *in)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return (int64_t)value;
}

void cursor_format(char text[CURSOR_TEXT_BYTES], const struct cursor *cursor)
{
    uint8_t bytes[BYTES];

    bytes[0] = VERSION;
    put(bytes + 1, cursor->created_us);
    memcpy(bytes + 9, cursor->id.bytes, UUID_BYTES);
    put(bytes + 9 + UUID_BYTES, cursor->total);
    (void)base64url_format(text, bytes, sizeof bytes);
}

enum rc cursor_parse(struct cursor *cursor, const void *text, size_t len)
{
    uint8_t bytes[BYTES];
    struct cursor result;
    size_t bytes_len;

    if (!base64url_parse(text, len, bytes, sizeof bytes, &bytes_len) || bytes_len != BYTES ||
        bytes[0] != VERSION)
        return RC_INVALID;
    result.created_us = get(bytes + 1);
    memcpy(result.id.bytes, bytes + 9, UUID_BYTES);
    result.total = get(bytes + 9 + UUID_BYTES);
    if (result.created_us < TIMESTAMP_MIN_US || result.created_us > TIMESTAMP_MAX_US ||
        result.total < 0)
        return RC_INVALID;
    *cursor = result;
    return RC_OK;
}
