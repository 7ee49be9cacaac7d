// HMAC-SHA256 twice: over the body alone, and as Standard Webhooks has it over id, time and body.
#include "workers/webhook/sign.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "whsec_"
#define PREFIX_LEN (sizeof PREFIX - 1)

static bool has_prefix(const void *secret, size_t len)
{
    return len >= PREFIX_LEN && memcmp(secret, PREFIX, PREFIX_LEN) == 0;
}

size_t sign_key(const void *secret, size_t len, uint8_t *key)
{
    const char *text = secret;
    size_t key_len = 0;

    if (has_prefix(secret, len) &&
        base64_parse(text + PREFIX_LEN, len - PREFIX_LEN, key, &key_len) && key_len > 0)
        return key_len;
    memcpy(key, secret, len);
    return len;
}

const char *sign_refuses(const void *secret, size_t len)
{
    const char *text = secret;
    uint8_t *key;
    size_t key_len = 0;
    bool ok;

    if (!has_prefix(secret, len))
        return NULL;
    key = malloc(len);
    if (key == NULL)
        abort();
    ok = base64_parse(text + PREFIX_LEN, len - PREFIX_LEN, key, &key_len) && key_len > 0;
    OPENSSL_cleanse(key, len);
    free(key);
    return ok ? NULL : "What follows whsec_ must be base64, with + and / and padded with =";
}

static void mac(uint8_t out[DIGEST_BYTES], const void *key, size_t key_len, const void *data,
                size_t len)
{
    unsigned size = DIGEST_BYTES;

    if (key_len > INT_MAX || HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &size) == NULL)
        abort();
}

void sign_hex(char hex[DIGEST_HEX_BYTES], const void *secret, size_t secret_len, const void *body,
              size_t len)
{
    uint8_t digest[DIGEST_BYTES];

    mac(digest, secret, secret_len, body, len);
    hex_format(hex, digest, DIGEST_BYTES);
}

static char *sign_with(struct arena *arena, const void *key, size_t key_len,
                       const struct sign_message *message)
{
    char *head = arena_printf(arena, "%s.%" PRId64 ".", message->id, message->timestamp);
    size_t head_len = strlen(head);
    uint8_t *all = arena_alloc(arena, head_len + message->len);
    uint8_t digest[DIGEST_BYTES];
    char text[4 * ((DIGEST_BYTES + 2) / 3) + 1];

    memcpy(all, head, head_len);
    if (message->len > 0)
        memcpy(all + head_len, message->body, message->len);
    mac(digest, key, key_len, all, head_len + message->len);
    base64_format(text, digest, DIGEST_BYTES);
    return arena_printf(arena, "v1,%s", text);
}

char *sign_standard(struct arena *arena, const void *secret, size_t secret_len,
                    const struct sign_message *message)
{
    uint8_t *key = arena_alloc(arena, secret_len + 3);
    size_t key_len = sign_key(secret, secret_len, key);
    char *signatures = sign_with(arena, key, key_len, message);

    if (!has_prefix(secret, secret_len) && base64_parse(secret, secret_len, key, &key_len) &&
        key_len > 0)
        signatures =
            arena_printf(arena, "%s %s", signatures, sign_with(arena, key, key_len, message));
    OPENSSL_cleanse(key, secret_len);
    return signatures;
}
