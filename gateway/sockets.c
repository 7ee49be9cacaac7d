// A count per tenant against the limit of its tier.
#include "gateway/sockets.h"

#include "broker/nats/subjects.h"
#include "broker/rail/bucket.h"

#include <stdlib.h>
#include <uthash.h>

struct holder {
    UT_hash_handle hh;
    size_t count;
    char tenant[TOKEN_MAX + 1];
};

struct sockets {
    struct bucket *tenants;
    struct holder *holders; // tenants with at least one
};

// One that we do not know is as good as the first.
static const struct {
    const char *tier;
    int64_t sockets;
} tiers[] = {
    {"free",     1 },
    {"pro",      5 },
    {"business", 25},
};

struct sockets *sockets_open(struct run *run)
{
    const struct bucket_config config = {
        .stream = STREAM_TENANTS,
        .subject = SUBJECT_TENANTS,
        .descriptor = &hr__tenant__descriptor,
    };
    struct sockets *sockets = calloc(1, sizeof *sockets);

    if (sockets == NULL)
        abort();
    sockets->tenants = bucket_open(run, &config);
    return sockets;
}

void sockets_close(struct sockets *sockets)
{
    struct holder *holder;
    struct holder *next;

    if (sockets == NULL)
        return;
    bucket_close(sockets->tenants);
    holder = sockets->holders;
    HASH_CLEAR(hh, sockets->holders); // the table; what was in it is still linked
    for (; holder != NULL; holder = next) {
        next = holder->hh.next;
        free(holder);
    }
    free(sockets);
}

static size_t tier_of(const Hr__Tenant *tenant)
{
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        if (tenant != NULL && tenant->has_tier && text_is(tenant->tier, tiers[i].tier))
            return i;
    }
    return 0;
}

static const Hr__Tenant *tenant_of(const struct sockets *sockets, const char *tenant)
{
    return (const Hr__Tenant *)bucket_find(sockets->tenants, tenant);
}

const char *sockets_tier(const struct sockets *sockets, const char *tenant)
{
    return tiers[tier_of(tenant_of(sockets, tenant))].tier;
}

bool sockets_enter(struct sockets *sockets, const char *tenant)
{
    const Hr__Tenant *known = tenant_of(sockets, tenant);
    int64_t max = known != NULL && known->has_max_sockets ? known->max_sockets
                                                          : tiers[tier_of(known)].sockets;
    struct holder *holder;

    HASH_FIND_STR(sockets->holders, tenant, holder);
    if ((holder != NULL ? (int64_t)holder->count : 0) >= max)
        return false;
    if (holder == NULL) {
        holder = calloc(1, sizeof *holder);
        if (holder == NULL)
            abort();
        memcpy(holder->tenant, tenant, strlen(tenant) + 1);
        HASH_ADD_STR(sockets->holders, tenant, holder);
    }
    holder->count++;
    return true;
}

void sockets_leave(struct sockets *sockets, const char *tenant)
{
    struct holder *holder;

    HASH_FIND_STR(sockets->holders, tenant, holder);
    if (holder == NULL || --holder->count > 0)
        return;
    HASH_DEL(sockets->holders, holder);
    free(holder);
}

size_t sockets_count(const struct sockets *sockets, const char *tenant)
{
    struct holder *holder;

    HASH_FIND_STR(sockets->holders, tenant, holder);
    return holder != NULL ? holder->count : 0;
}
