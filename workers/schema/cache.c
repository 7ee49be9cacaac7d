// A short list that is gone through: comparing some keys is nothing beside checking an instance.
#include "workers/schema/cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key; // owned; NULL: nothing is here yet
    struct validator *validator;
    uint64_t used; // when last, counted in uses of the cache
};

struct cache {
    struct entry *entries;
    size_t max;
    uint64_t uses;
};

struct cache *cache_create(size_t max)
{
    struct cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    cache->max = max;
    cache->entries = calloc(max, sizeof *cache->entries);
    if (cache->entries == NULL)
        abort();
    return cache;
}

void cache_destroy(struct cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < cache->max; i++) {
        free(cache->entries[i].key);
        validator_destroy(cache->entries[i].validator);
    }
    free(cache->entries);
    free(cache);
}

// NULL: it is not there.
static struct entry *find(struct cache *cache, const char *key)
{
    for (size_t i = 0; i < cache->max; i++) {
        if (cache->entries[i].key != NULL && strcmp(cache->entries[i].key, key) == 0)
            return &cache->entries[i];
    }
    return NULL;
}

static struct entry *find_least_used(struct cache *cache)
{
    struct entry *least = &cache->entries[0];

    for (size_t i = 1; i < cache->max; i++) {
        if (cache->entries[i].used < least->used)
            least = &cache->entries[i];
    }
    return least;
}

enum rc cache_get(struct cache *cache, const struct validator **validator,
                  struct validator_words *why, const char *key, const void *text, size_t len)
{
    struct entry *entry = find(cache, key);
    struct validator *made;

    if (entry == NULL) {
        enum rc rc = validator_create(&made, why, text, len);

        if (rc != RC_OK)
            return rc;
        entry = find_least_used(cache);
        free(entry->key);
        validator_destroy(entry->validator);
        entry->validator = made;
        entry->key = strdup(key);
        if (entry->key == NULL)
            abort();
    }
    entry->used = ++cache->uses;
    *validator = entry->validator;
    return RC_OK;
}
