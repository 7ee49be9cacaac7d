// Per tenant, and per agent that packets are addressed to, one tree by age for each priority. The
// best packet is then the best of a few oldest ones.
#include "workers/claim/offers.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <uthash.h>

#define PRIORITIES 4
#define SCAN_MAX 5000 // packets of one priority that do not fit, before it is given up

struct agent;
struct owner;

struct offer {
    RB_ENTRY(offer) tenant_node;
    RB_ENTRY(offer) agent_node;
    UT_hash_handle hh;
    struct owner *tenant;
    struct agent *agent;
    struct arena *arena; // of the texts below
    Text *tags;
    size_t tag_count;
    Text *declined; // by these agents
    size_t declined_count;
    int64_t created_us;
    uint64_t sequence;
    unsigned priority; // 0: low
    bool addressed_only;
    bool listed; // in the trees
    char packet_id[UUID_TEXT_BYTES];
};

RB_HEAD(tenant_tree, offer);
RB_HEAD(agent_tree, offer);

struct agent {
    UT_hash_handle hh;
    struct agent_tree trees[PRIORITIES];
    size_t offers;
    size_t id_len;
    char id[];
};

struct owner {
    UT_hash_handle hh;
    struct tenant_tree trees[PRIORITIES];
    struct agent *agents;
    struct offer *offers; // by packet id
    char name[TOKEN_MAX + 1];
};

struct offers {
    struct owner *tenants;
    size_t count;
};

static int compare(const struct offer *a, const struct offer *b)
{
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us ? -1 : 1;
    return strcmp(a->packet_id, b->packet_id);
}

// clang-format off
RB_GENERATE_INTERNAL(tenant_tree, offer, tenant_node, compare, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(agent_tree, offer, agent_node, compare, __attribute__((unused)) static)
// clang-format on

// --- who has what --------------------------------------------------------------------------------

static struct owner *tenant_find(const struct offers *offers, const char *name)
{
    struct owner *tenant = NULL;

    HASH_FIND_STR(offers->tenants, name, tenant);
    return tenant;
}

static struct owner *tenant_of(struct offers *offers, const char *name)
{
    struct owner *tenant = tenant_find(offers, name);

    if (tenant != NULL)
        return tenant;
    tenant = calloc(1, sizeof *tenant);
    if (tenant == NULL)
        abort();
    (void)snprintf(tenant->name, sizeof tenant->name, "%s", name);
    HASH_ADD_STR(offers->tenants, name, tenant);
    return tenant;
}

static struct agent *agent_find(const struct owner *tenant, Text id)
{
    struct agent *agent = NULL;

    HASH_FIND(hh, tenant->agents, id.data, (unsigned)id.len, agent);
    return agent;
}

static struct agent *agent_of(struct owner *tenant, Text id)
{
    struct agent *agent = agent_find(tenant, id);

    if (agent != NULL)
        return agent;
    agent = calloc(1, sizeof *agent + id.len + 1);
    if (agent == NULL)
        abort();
    agent->id_len = id.len;
    if (id.len > 0)
        memcpy(agent->id, id.data, id.len);
    HASH_ADD_KEYPTR(hh, tenant->agents, agent->id, (unsigned)agent->id_len, agent);
    return agent;
}

// --- in and out of the trees ---------------------------------------------------------------------

static void list(struct offers *offers, struct offer *offer)
{
    RB_INSERT(tenant_tree, &offer->tenant->trees[offer->priority], offer);
    RB_INSERT(agent_tree, &offer->agent->trees[offer->priority], offer);
    offer->listed = true;
    offers->count++;
}

static void unlist(struct offers *offers, struct offer *offer)
{
    if (!offer->listed)
        return;
    RB_REMOVE(tenant_tree, &offer->tenant->trees[offer->priority], offer);
    RB_REMOVE(agent_tree, &offer->agent->trees[offer->priority], offer);
    offer->listed = false;
    offers->count--;
}

static void leave_agent(struct offer *offer)
{
    struct agent *agent = offer->agent;

    offer->agent = NULL;
    if (agent == NULL || --agent->offers > 0)
        return;
    HASH_DEL(offer->tenant->agents, agent);
    free(agent);
}

static void release(struct offers *offers, struct offer *offer)
{
    unlist(offers, offer);
    leave_agent(offer);
    arena_destroy(offer->arena);
    free(offer);
}

static void forget(struct offers *offers, struct offer *offer)
{
    HASH_DEL(offer->tenant->offers, offer);
    release(offers, offer);
}

// --- what is known of a packet -------------------------------------------------------------------

static void read_texts(struct offer *offer, const Hr__Packet *packet)
{
    const Hr__Metadata *metadata = packet->metadata;

    arena_destroy(offer->arena);
    offer->arena = NULL;
    offer->tag_count = metadata->n_tags;
    offer->declined_count = packet->n_declined;
    if (metadata->n_tags + packet->n_declined == 0)
        return;
    offer->arena = arena_create(512);
    offer->tags = arena_calloc(offer->arena, metadata->n_tags + 1, sizeof *offer->tags);
    offer->declined = arena_calloc(offer->arena, packet->n_declined + 1, sizeof *offer->declined);
    for (size_t i = 0; i < metadata->n_tags; i++)
        offer->tags[i] = text_copy(offer->arena, metadata->tags[i].data, metadata->tags[i].len);
    for (size_t i = 0; i < packet->n_declined; i++) {
        Text id = packet->declined[i]->agent_id;

        offer->declined[i] = text_copy(offer->arena, id.data, id.len);
    }
}

static unsigned priority_of(const Hr__Metadata *metadata)
{
    unsigned priority = metadata->has_priority ? (unsigned)metadata->priority
                                               : (unsigned)HR__PRIORITY__PRIORITY_NORMAL;

    return priority >= 1 && priority <= PRIORITIES ? priority - 1 : PRIORITIES - 1;
}

static void read_packet(struct offer *offer, const Hr__Packet *packet)
{
    const Hr__Metadata *metadata = packet->metadata;

    leave_agent(offer);
    offer->agent = agent_of(offer->tenant, metadata->target_agent->id);
    offer->agent->offers++;
    offer->created_us = wire_timestamp_us(packet->created_at);
    offer->priority = priority_of(metadata);
    offer->addressed_only = metadata->claim_policy == HR__CLAIM_POLICY__CLAIM_POLICY_ADDRESSED;
    read_texts(offer, packet);
}

static struct offer *offer_add(struct owner *tenant, const char *packet_id)
{
    struct offer *offer = calloc(1, sizeof *offer);

    if (offer == NULL)
        abort();
    offer->tenant = tenant;
    memcpy(offer->packet_id, packet_id, sizeof offer->packet_id);
    HASH_ADD_STR(tenant->offers, packet_id, offer);
    return offer;
}

const struct offer *offers_note(struct offers *offers, const char *tenant_name,
                                const char *packet_id, const struct stored *stored)
{
    const Hr__Packet *packet = stored->record->packet;
    struct owner *tenant = tenant_of(offers, tenant_name);
    bool open = packet->status == HR__STATUS__STATUS_CREATED && packet->metadata != NULL &&
                packet->metadata->target_agent != NULL;
    struct offer *offer = NULL;

    HASH_FIND_STR(tenant->offers, packet_id, offer);
    if (offer != NULL && stored->sequence <= offer->sequence)
        return NULL;
    if (!open) {
        if (offer != NULL)
            forget(offers, offer);
        return NULL;
    }
    if (offer == NULL)
        offer = offer_add(tenant, packet_id);
    unlist(offers, offer);
    offer->sequence = stored->sequence;
    read_packet(offer, packet);
    list(offers, offer);
    return offer;
}

// --- picking -------------------------------------------------------------------------------------

static bool has_text(const Text *texts, size_t count, Text wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(texts[i], wanted))
            return true;
    }
    return false;
}

static bool is_addressed(const struct offer *offer, Text agent_id)
{
    const struct agent *agent = offer->agent;
    Text id = {agent->id_len, (uint8_t *)(uintptr_t)agent->id};

    return text_equal(id, agent_id) || text_is(id, ANY_AGENT);
}

bool offer_fits(const struct offer *offer, const struct wish *wish)
{
    if (!is_addressed(offer, wish->agent_id) && (!wish->any || offer->addressed_only))
        return false;
    if (has_text(offer->declined, offer->declined_count, wish->agent_id))
        return false;
    for (size_t i = 0; i < wish->tag_count; i++) {
        if (!has_text(offer->tags, offer->tag_count, wish->tags[i]))
            return false;
    }
    return true;
}

// Each step of priority is worth so much waiting, so nothing waits for ever.
static int64_t rank(const struct offer *offer, int64_t aging_us)
{
    return offer->created_us - (int64_t)offer->priority * aging_us;
}

static void consider(struct offer **best, struct offer *offer, const struct wish *wish)
{
    if (offer != NULL &&
        (*best == NULL || rank(offer, wish->aging_us) < rank(*best, wish->aging_us)))
        *best = offer;
}

static struct offer *first_of_tenant(struct tenant_tree *tree, const struct wish *wish)
{
    struct offer *offer = RB_MIN(tenant_tree, tree);

    for (int i = 0; offer != NULL && !offer_fits(offer, wish); i++)
        offer = i < SCAN_MAX ? RB_NEXT(tenant_tree, tree, offer) : NULL;
    return offer;
}

static struct offer *first_of_agent(struct agent_tree *tree, const struct wish *wish)
{
    struct offer *offer = RB_MIN(agent_tree, tree);

    for (int i = 0; offer != NULL && !offer_fits(offer, wish); i++)
        offer = i < SCAN_MAX ? RB_NEXT(agent_tree, tree, offer) : NULL;
    return offer;
}

static void consider_agent(struct offer **best, struct owner *tenant, Text id,
                           const struct wish *wish)
{
    struct agent *agent = agent_find(tenant, id);

    for (int i = PRIORITIES; agent != NULL && i-- > 0;)
        consider(best, first_of_agent(&agent->trees[i], wish), wish);
}

bool offers_take(struct offers *offers, const struct wish *wish, char packet_id[UUID_TEXT_BYTES])
{
    struct owner *tenant = tenant_find(offers, wish->tenant);
    struct offer *best = NULL;

    if (tenant == NULL)
        return false;
    if (wish->any) {
        for (int i = PRIORITIES; i-- > 0;)
            consider(&best, first_of_tenant(&tenant->trees[i], wish), wish);
    } else {
        consider_agent(&best, tenant, wish->agent_id, wish);
        consider_agent(&best, tenant, text_of(ANY_AGENT), wish);
    }
    if (best == NULL)
        return false;
    unlist(offers, best);
    memcpy(packet_id, best->packet_id, UUID_TEXT_BYTES);
    return true;
}

void offers_put_back(struct offers *offers, const char *tenant_name, const char *packet_id)
{
    struct owner *tenant = tenant_find(offers, tenant_name);
    struct offer *offer = NULL;

    if (tenant != NULL)
        HASH_FIND_STR(tenant->offers, packet_id, offer);
    if (offer != NULL && !offer->listed)
        list(offers, offer);
}

size_t offers_count(const struct offers *offers)
{
    return offers->count;
}

// --- life ----------------------------------------------------------------------------------------

struct offers *offers_create(void)
{
    struct offers *offers = calloc(1, sizeof *offers);

    if (offers == NULL)
        abort();
    return offers;
}

void offers_destroy(struct offers *offers)
{
    struct owner *tenant;
    struct owner *next;

    if (offers == NULL)
        return;
    tenant = offers->tenants;
    HASH_CLEAR(hh, offers->tenants); // the table; what was in it is still linked
    for (; tenant != NULL; tenant = next) {
        struct offer *offer = tenant->offers;
        struct offer *other;

        next = tenant->hh.next;
        HASH_CLEAR(hh, tenant->offers);
        for (; offer != NULL; offer = other) {
            other = offer->hh.next;
            release(offers, offer);
        }
        free(tenant);
    }
    free(offers);
}
