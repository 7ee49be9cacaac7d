// Groups are few and asked for at a vote only, so the keys are simply gone through.
#include "workers/hitl/electors.h"

struct electors {
    struct electorate electorate;
    const struct bucket *keys;
    const char *tenant;
};

struct search {
    const char *tenant;
    Text group;
    const char *key_id; // NULL: every key
    size_t found;
};

static void visit(void *ctx, const char *name, const ProtobufCMessage *value)
{
    const Hr__ApiKey *key = (const Hr__ApiKey *)value;
    struct search *search = ctx;

    (void)name;
    if (key->revoked || !text_is(key->tenant, search->tenant) ||
        (search->key_id != NULL && !text_is(key->id, search->key_id)))
        return;
    for (size_t i = 0; i < key->n_groups; i++) {
        if (text_equal(key->groups[i], search->group)) {
            search->found++;
            return;
        }
    }
}

static size_t count(const struct electors *electors, const char *key_id, Text group)
{
    struct search search = {electors->tenant, group, key_id, 0};

    bucket_each(electors->keys, visit, &search);
    return search.found;
}

static bool is_member(const void *ctx, const char *key_id, Text group)
{
    return count(ctx, key_id, group) > 0;
}

static size_t member_count(const void *ctx, Text group)
{
    return count(ctx, NULL, group);
}

const struct electorate *electors_of(const struct bucket *keys, const char *tenant,
                                     struct arena *arena)
{
    struct electors *electors = arena_alloc(arena, sizeof *electors);

    *electors = (struct electors){
        {electors, is_member, member_count},
        keys, tenant
    };
    return &electors->electorate;
}
