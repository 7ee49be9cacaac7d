// The API keys of the deployment, as the bucket HR_KEYS holds them, watched.
#ifndef GATEWAY_KEYS_H
#define GATEWAY_KEYS_H

#include "broker/message/wire.h"
#include "broker/run/run.h"

struct keys;

// Borrowed until the next turn of the loop.
struct key {
    const char *id;
    const char *tenant;
    const char *role;
    bool revoked;
};

struct keys *keys_open(struct run *run) MUST_CHECK;
void keys_close(struct keys *keys); // NULL is allowed

// False while the bucket may have changed without our knowing; a key must not be trusted then.
bool keys_are_current(const struct keys *keys);

// digest: SHA-256 of the whole key. NULL: there is no such key.
const struct key *keys_find(const struct keys *keys, const uint8_t digest[32]);

// How many keys can be used; tenant NULL: of all tenants.
size_t keys_count(const struct keys *keys, const char *tenant);

#endif
