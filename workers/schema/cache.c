// A hash table remembers the order in which its entries came; whoever is used comes anew.
#include "workers/schema/cache.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    struct validator *validator;
    char key[];
};

struct cache {
    struct entry *entries;
    size_t max;
};

struct cache *cache_create(size_t max)
{
    struct cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    cache->max = max;
    return cache;
}

static void forget(struct cache *cache, struct entry *entry)
{
    HASH_DEL(cache->entries, entry);
    validator_destroy(entry->validator);
    free(entry);
}

void cache_destroy(struct cache *cache)
{
    struct entry *entry;
    struct entry *next;

    if (cache == NULL)
        return;
    entry = cache->entries;
    HASH_CLEAR(hh, cache->entries); // the table; what was in it is still linked
    for (; entry != NULL; entry = next) {
        next = entry->hh.next;
        validator_destroy(entry->validator);
        free(entry);
    }
    free(cache);
}

static struct entry *add(struct cache *cache, struct entry *entry)
{
    HASH_ADD_KEYPTR(hh, cache->entries, entry->key, strlen(entry->key), entry);
    return entry;
}

enum rc cache_get(struct cache *cache, const struct validator **validator,
                  struct validator_words *why, const char *key, const void *text, size_t len)
{
    struct entry *entry = NULL;
    struct validator *made;
    enum rc rc;

    HASH_FIND_STR(cache->entries, key, entry);
    if (entry != NULL) {
        HASH_DEL(cache->entries, entry);
        *validator = add(cache, entry)->validator;
        return RC_OK;
    }
    rc = validator_create(&made, why, text, len);
    if (rc != RC_OK)
        return rc;
    if (HASH_COUNT(cache->entries) >= cache->max)
        forget(cache, cache->entries); // the one that was not used for longest
    entry = calloc(1, sizeof *entry + strlen(key) + 1);
    if (entry == NULL)
        abort();
    memcpy(entry->key, key, strlen(key) + 1);
    entry->validator = made;
    *validator = add(cache, entry)->validator;
    return RC_OK;
}
