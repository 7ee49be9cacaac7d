// Identifiers.
#include "broker/base/id.h"

#include "broker/base/timestamp.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

// In text, a hyphen follows these bytes.
static bool hyphen_after(size_t byte)
{
    return byte == 3 || byte == 5 || byte == 7 || byte == 9;
}

void random_bytes(void *out, size_t len)
{
    if (RAND_bytes(out, (int)len) != 1)
        abort();
}

static void set_version(struct uuid *uuid, unsigned version)
{
    uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0f) | (version << 4));
    uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3f) | 0x80);
}

struct uuid uuid_new(void)
{
    struct uuid uuid;
    int64_t ms = timestamp_now_us() / 1000;

    random_bytes(uuid.bytes + 6, UUID_BYTES - 6);
    for (int i = 0; i < 6; i++)
        uuid.bytes[i] = (uint8_t)(ms >> (8 * (5 - i)));
    set_version(&uuid, 7);
    return uuid;
}

struct uuid uuid_from_digest(const uint8_t digest[32])
{
    struct uuid uuid;

    memcpy(uuid.bytes, digest, UUID_BYTES);
    set_version(&uuid, 8);
    return uuid;
}

void uuid_format(char text[UUID_TEXT_BYTES], const struct uuid *uuid)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < UUID_BYTES; i++) {
        *text++ = digits[uuid->bytes[i] >> 4];
        *text++ = digits[uuid->bytes[i] & 15];
        if (hyphen_after(i))
            *text++ = '-';
    }
    *text = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

const char *uuid_parse(const char *text, size_t len, struct uuid *uuid)
{
    static const char urn[] = "urn:uuid:";
    struct uuid result;
    bool hyphens;
    size_t at = 0;

    if (len > sizeof urn - 1 && memcmp(text, urn, sizeof urn - 1) == 0) {
        text += sizeof urn - 1;
        len -= sizeof urn - 1;
    }
    if (len > 2 && text[0] == '{' && text[len - 1] == '}') {
        text++;
        len -= 2;
    }
    if (len != 32 && len != 36)
        return "invalid length";
    hyphens = len == 36;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        int high = hex_value(text[at]);
        int low = hex_value(text[at + 1]);

        if (high < 0 || low < 0)
            return "invalid character";
        result.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
        if (hyphens && hyphen_after(i) && text[at++] != '-')
            return "invalid group length";
    }
    *uuid = result;
    return NULL;
}

bool token_is_safe(const char *text, size_t len)
{
    if (len == 0 || len > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-')
            return false;
    }
    return true;
}
