// The schemas of all tenants, as the bucket HR_SCHEMAS has them.
#ifndef WORKERS_SCHEMA_REGISTRY_H
#define WORKERS_SCHEMA_REGISTRY_H

#include "broker/base/id.h"
#include "broker/nats/entry.h"
#include "broker/rail/bucket.h"
#include "broker/rail/service.h"

#define SCHEMA_KEY_BYTES (TOKEN_MAX + 1 + UUID_TEXT_BYTES)

struct registry;

struct registry *registry_open(struct run *run);

// NULL is allowed. What waits in it is not called any more.
void registry_close(struct registry *registry);

// All that was in the bucket has been read.
bool registry_is_current(const struct registry *registry);

// "<tenant>.<schema_id>". id: a UUID in lower case.
void registry_key(char key[SCHEMA_KEY_BYTES], const char *tenant, const char *id);

// As far as it is known here. Borrowed until the loop runs again.
const Hr__Schema *registry_known(const struct registry *registry, const char *key);

// The tenant's, the newest first, in the arena; what they point to is borrowed until the loop runs
// again.
const Hr__Schema **registry_list(const struct registry *registry, const char *tenant,
                                 struct arena *arena, size_t *count);

// Loop thread, exactly once. RC_OK: schema is borrowed for the length of the call, key is its key.
// RC_NOT_FOUND: there is none. Others: NATS does not answer.
typedef void (*registry_found_fn)(void *ctx, enum rc rc, const char *key, const Hr__Schema *schema);

// A schema of the tenant, by its id in any spelling. One that another copy has just made is found
// too.
void registry_find(struct registry *registry, const char *tenant, Text id, struct arena *arena,
                   registry_found_fn done, void *ctx);

// Stores a schema, if there is none under its id. value: a packed Schema. done: see entry_put.
void registry_put(struct registry *registry, const char *tenant, const char *id, Text value,
                  entry_put_fn done, void *ctx);

// Calls done once the key is known here, so that a client that gets the answer finds it in the
// next list; or after SEEN_WAIT_MS, should the bucket not come. key: lives until then.
void registry_await(struct registry *registry, const char *key, struct arena *arena,
                    void (*done)(void *ctx), void *ctx);

#endif
