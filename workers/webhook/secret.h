// Webhooks' secrets at rest.
#ifndef WORKERS_WEBHOOK_SECRET_H
#define WORKERS_WEBHOOK_SECRET_H

#include "broker/base/keyring.h"
#include "broker/message/wire.h"

#define SECRET_BYTES_MAX 1024 // 256 characters of UTF-8

// Encrypts under the newest key. tenant and hook_id go in with it, so that what was sealed for one
// hook opens for no other. The result is in the arena.
Hr__SealedSecret *secret_seal(const struct keyring *ring, struct arena *arena, const char *tenant,
                              const char *hook_id, Text secret);

// *len: of what was written to secret. RC_NOT_FOUND: the ring has no such key (any more).
// RC_CORRUPT: it was not sealed so.
enum rc secret_open(const struct keyring *ring, const Hr__SealedSecret *sealed, const char *tenant,
                    const char *hook_id, uint8_t secret[SECRET_BYTES_MAX], size_t *len) MUST_CHECK;

#endif
