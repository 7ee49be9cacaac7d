// Shares are counted by name: "tenant", and "tenant.key". A tenant's name has no dot.
#include "workers/claim/places.h"

#include "broker/nats/subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#define TENANT_SHARE 2 // a tenant may have this part of the places
#define KEY_SHARE 4    // and a key this one

#define NAME_BYTES (2 * TOKEN_MAX + 2)

struct share {
    UT_hash_handle hh;
    size_t taken;
    char name[NAME_BYTES];
};

static void name_key(char name[NAME_BYTES], const char *tenant, const char *key_id)
{
    (void)snprintf(name, NAME_BYTES, "%s.%s", tenant, key_id);
}

static size_t taken_by(const struct places *places, const char *name)
{
    struct share *share = NULL;

    HASH_FIND_STR(places->shares, name, share);
    return share != NULL ? share->taken : 0;
}

static void add_to(struct places *places, const char *name)
{
    struct share *share = NULL;

    HASH_FIND_STR(places->shares, name, share);
    if (share == NULL) {
        share = calloc(1, sizeof *share);
        if (share == NULL)
            abort();
        (void)snprintf(share->name, sizeof share->name, "%s", name);
        HASH_ADD_STR(places->shares, name, share);
    }
    share->taken++;
}

static void take_from(struct places *places, const char *name)
{
    struct share *share = NULL;

    HASH_FIND_STR(places->shares, name, share);
    if (share == NULL || --share->taken > 0)
        return;
    HASH_DEL(places->shares, share);
    free(share);
}

bool places_have_room(const struct places *places, const char *tenant, const char *key_id)
{
    char name[NAME_BYTES];

    name_key(name, tenant, key_id);
    return places->taken < places->max && taken_by(places, tenant) <= places->max / TENANT_SHARE &&
           taken_by(places, name) <= places->max / KEY_SHARE;
}

void places_take(struct places *places, const char *tenant, const char *key_id)
{
    char name[NAME_BYTES];

    name_key(name, tenant, key_id);
    places->taken++;
    add_to(places, tenant);
    add_to(places, name);
}

void places_free(struct places *places, const char *tenant, const char *key_id)
{
    char name[NAME_BYTES];

    name_key(name, tenant, key_id);
    places->taken--;
    take_from(places, tenant);
    take_from(places, name);
}
