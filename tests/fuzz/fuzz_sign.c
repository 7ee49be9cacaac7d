// A webhook's secret, as its owner gave it and as the bucket gives it back sealed, and what is
// signed with it.
#include "workers/webhook/secret.h"
#include "workers/webhook/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct keyring *keys(void)
{
    static struct keyring *ring;
    static const char text[] = "1 0123456789abcdef0123456789abcdef\n"
                               "7 fedcba9876543210fedcba9876543210\n";

    if (ring == NULL && keyring_parse(&ring, text, sizeof text - 1, "the fuzzer's") != RC_OK)
        abort();
    return ring;
}

// What was sealed opens, for its own hook alone.
static void seal_and_open(struct arena *arena, Text secret)
{
    Hr__SealedSecret *sealed = secret_seal(keys(), arena, "t", "h", secret);
    uint8_t opened[SECRET_BYTES_MAX];
    size_t len = 0;

    if (secret_open(keys(), sealed, "t", "h", opened, &len) != RC_OK || len != secret.len ||
        (len > 0 && memcmp(opened, secret.data, len) != 0))
        abort();
    if (secret_open(keys(), sealed, "t", "other", opened, &len) != RC_CORRUPT)
        abort();
}

static void open_what_stands_there(struct arena *arena, const uint8_t *data, size_t size)
{
    ProtobufCMessage *sealed;
    uint8_t opened[SECRET_BYTES_MAX];
    size_t len = 0;

    if (wire_unpack(&sealed, arena, &hr__sealed_secret__descriptor, data, size) == RC_OK &&
        secret_open(keys(), (Hr__SealedSecret *)sealed, "t", "h", opened, &len) == RC_OK)
        abort(); // nobody can guess one
}

static void sign(struct arena *arena, Text secret, const uint8_t *body, size_t len)
{
    const struct sign_message message = {"id", 1, body, len};
    uint8_t *key = arena_alloc(arena, secret.len + 1);
    char hex[DIGEST_HEX_BYTES];

    if (sign_key(secret.data, secret.len, key) > secret.len)
        abort();
    sign_hex(hex, secret.data, secret.len, body, len);
    if (strlen(sign_standard(arena, secret.data, secret.len, &message)) != 3 + 44)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096);
    size_t len = size < SECRET_BYTES_MAX ? size : SECRET_BYTES_MAX;
    Text secret = text_copy(arena, data, len);

    sign(arena, secret, data, size);
    seal_and_open(arena, secret);
    open_what_stands_there(arena, data, size);
    arena_destroy(arena);
    return 0;
}
