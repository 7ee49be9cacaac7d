// How a receiver knows that a delivery is ours. Pure.
#ifndef WORKERS_WEBHOOK_SIGN_H
#define WORKERS_WEBHOOK_SIGN_H

#include "broker/base/arena.h"
#include "broker/base/digest.h"

#include <stdint.h>

// What a secret signs with for Standard Webhooks: the bytes behind "whsec_", which is base64, or
// else those of the secret itself. key takes len bytes. Returns their number.
size_t sign_key(const void *secret, size_t len, uint8_t *key);

// Why a secret would sign with a key that no Standard Webhooks library makes of it, as a static
// phrase; NULL: it would not. One that begins with "whsec_" has to be base64 behind it, of the
// standard alphabet and padded.
const char *sign_refuses(const void *secret, size_t len);

// X-HR-Signature: lower-case hex HMAC-SHA256 over the body with the secret's own bytes.
void sign_hex(char hex[DIGEST_HEX_BYTES], const void *secret, size_t secret_len, const void *body,
              size_t len);

struct sign_message {
    const char *id;
    int64_t timestamp; // seconds
    const void *body;
    size_t len;
};

// webhook-signature for one secret: "v1," and base64. A secret without "whsec_" that is base64 all
// the same has two, separated by a blank: with its own bytes, and with those that it stands for,
// which is what libraries take for the key. In the arena.
char *sign_standard(struct arena *arena, const void *secret, size_t secret_len,
                    const struct sign_message *message);

#endif
