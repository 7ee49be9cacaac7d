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

size_t sign_key(const void *secret, size_t len, uint8_t *key)
{
    const char *text = secret;
    size_t key_len = 0;

    if (len > PREFIX_LEN && memcmp(text, PREFIX, PREFIX_LEN) == 0 &&
        base64_parse(text + PREFIX_LEN, len - PREFIX_LEN, key, &key_len) && key_len > 0)
        return key_len;
    memcpy(key, secret, len);
    return len;
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

char *sign_standard(struct arena *arena, const void *secret, size_t secret_len,
                    const struct sign_message *message)
{
    char *head = arena_printf(arena, "%s.%" PRId64 ".", message->id, message->timestamp);
    size_t head_len = strlen(head);
    uint8_t *all = arena_alloc(arena, head_len + message->len);
    uint8_t *key = arena_alloc(arena, secret_len + 3);
    size_t key_len = sign_key(secret, secret_len, key);
    uint8_t digest[DIGEST_BYTES];
    char text[4 * ((DIGEST_BYTES + 2) / 3) + 1];

    memcpy(all, head, head_len);
    if (message->len > 0)
        memcpy(all + head_len, message->body, message->len);
    mac(digest, key, key_len, all, head_len + message->len);
    OPENSSL_cleanse(key, secret_len);
    base64_format(text, digest, DIGEST_BYTES);
    return arena_printf(arena, "v1,%s", text);
}
