// Schemas made ready, the last used ones.
#ifndef WORKERS_SCHEMA_CACHE_H
#define WORKERS_SCHEMA_CACHE_H

#include "workers/schema/validator.h"

struct cache;

// max: how many it keeps, at least 1.
struct cache *cache_create(size_t max);

// NULL is allowed.
void cache_destroy(struct cache *cache);

// The schema under key, made ready from its text if it is not there. A key has one text forever.
// Borrowed until the next call. RC_INVALID: it is none that can be honoured; why says so.
enum rc cache_get(struct cache *cache, const struct validator **validator,
                  struct validator_words *why, const char *key, const void *text,
                  size_t len) MUST_CHECK;

#endif
