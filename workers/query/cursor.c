// A cursor is base64url of: version, created_us, id, total; numbers big-endian. One into the audit
// log: version, shard, epoch, seq, part.
//
// It is not signed: it can say nothing that a client could not ask for with filters, always within
// its own tenant.
#include "workers/query/cursor.h"

#include "broker/base/digest.h"
#include "broker/base/timestamp.h"

#include <string.h>

#define VERSION 1
#define BYTES (1 + 8 + UUID_BYTES + 8)
#define PLACE_VERSION 2
#define PLACE_BYTES (1 + 4 * 8)

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

void cursor_place_format(char text[CURSOR_PLACE_TEXT_BYTES], const struct cursor_place *place)
{
    uint8_t bytes[PLACE_BYTES];

    bytes[0] = PLACE_VERSION;
    put(bytes + 1, place->shard);
    put(bytes + 9, place->epoch);
    put(bytes + 17, place->seq);
    put(bytes + 25, place->part);
    (void)base64url_format(text, bytes, sizeof bytes);
}

enum rc cursor_place_parse(struct cursor_place *place, const void *text, size_t len)
{
    uint8_t bytes[PLACE_BYTES];
    size_t bytes_len;

    if (!base64url_parse(text, len, bytes, sizeof bytes, &bytes_len) || bytes_len != PLACE_BYTES ||
        bytes[0] != PLACE_VERSION)
        return RC_INVALID;
    *place =
        (struct cursor_place){get(bytes + 1), get(bytes + 9), get(bytes + 17), get(bytes + 25)};
    return RC_OK;
}
