// A packet lies on several shelves: the tenant's, its addressee's, and one for each of its tags. A
// shelf has a list by age for each priority, so the best packet of a shelf is the best of a few
// oldest ones. A look goes through the shelves that must have what is wanted, the fewest packets
// there are; what else keeps a packet from an agent (that it declined, other tags) is found by
// going along the list, some steps at a time.
#include "workers/claim/offers.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <uthash.h>

#define PRIORITIES SEARCH_PRIORITIES

// The shelves of a look.
enum {
    ON_OPEN,     // of the tenant: whatever anybody may claim
    ON_OWN,      // addressed to the agent
    ON_ANYBODYS, // addressed to whoever comes
    ON_TAG = ON_OPEN,
};

struct owner;
struct shelf;

// A packet's place on a shelf.
struct place {
    RB_ENTRY(place) node;
    struct offer *offer;
    struct shelf *shelf;
};

RB_HEAD(list, place);

struct shelf {
    UT_hash_handle hh;
    struct shelf **table; // that it is in
    struct list lists[PRIORITIES];
    size_t count;  // of packets in the lists
    size_t places; // listed or not; without any it goes
    size_t name_len;
    char name[];
};

struct offer {
    UT_hash_handle hh;
    struct owner *tenant;
    struct place *places;
    size_t place_count;
    const struct shelf *agent; // it is addressed to
    struct arena *arena;       // of the texts below; NULL: there are none
    Text *declined;            // by these agents
    size_t declined_count;
    int64_t created_us;
    uint64_t sequence;
    unsigned priority; // 0: low
    bool addressed_only;
    bool listed;
    char packet_id[UUID_TEXT_BYTES];
};

struct owner {
    UT_hash_handle hh;
    struct shelf *open; // one, with no name
    struct shelf *agents;
    struct shelf *tags;
    struct offer *offers; // by packet id
    char name[TOKEN_MAX + 1];
};

struct offers {
    struct owner *tenants;
    size_t count;
};

static int compare(const struct place *a, const struct place *b)
{
    if (a->offer->created_us != b->offer->created_us)
        return a->offer->created_us < b->offer->created_us ? -1 : 1;
    return strcmp(a->offer->packet_id, b->offer->packet_id);
}

// clang-format off
RB_GENERATE_INTERNAL(list, place, node, compare, __attribute__((unused)) static)
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

static struct shelf *shelf_find(struct shelf *table, Text name)
{
    const void *key = name.data != NULL ? name.data : (const uint8_t *)""; // of an empty name
    struct shelf *shelf = NULL;

    HASH_FIND(hh, table, key, (unsigned)name.len, shelf);
    return shelf;
}

static struct shelf *shelf_of(struct shelf **table, Text name)
{
    struct shelf *shelf = shelf_find(*table, name);

    if (shelf != NULL)
        return shelf;
    shelf = calloc(1, sizeof *shelf + name.len + 1);
    if (shelf == NULL)
        abort();
    shelf->table = table;
    shelf->name_len = name.len;
    if (name.len > 0)
        memcpy(shelf->name, name.data, name.len);
    HASH_ADD_KEYPTR(hh, *table, shelf->name, (unsigned)shelf->name_len, shelf);
    return shelf;
}

static bool is_named(const struct shelf *shelf, Text name)
{
    return text_equal((Text){shelf->name_len, (uint8_t *)(uintptr_t)shelf->name}, name);
}

static void leave_shelf(struct shelf *shelf)
{
    if (--shelf->places > 0)
        return;
    HASH_DEL(*shelf->table, shelf);
    free(shelf);
}

// --- in and out of the lists ---------------------------------------------------------------------

static void list_offer(struct offers *offers, struct offer *offer)
{
    for (size_t i = 0; i < offer->place_count; i++) {
        struct place *place = &offer->places[i];

        RB_INSERT(list, &place->shelf->lists[offer->priority], place);
        place->shelf->count++;
    }
    offer->listed = true;
    offers->count++;
}

static void unlist(struct offers *offers, struct offer *offer)
{
    if (!offer->listed)
        return;
    for (size_t i = 0; i < offer->place_count; i++) {
        struct place *place = &offer->places[i];

        RB_REMOVE(list, &place->shelf->lists[offer->priority], place);
        place->shelf->count--;
    }
    offer->listed = false;
    offers->count--;
}

static void leave_shelves(struct offer *offer)
{
    for (size_t i = 0; i < offer->place_count; i++)
        leave_shelf(offer->places[i].shelf);
    free(offer->places);
    offer->places = NULL;
    offer->place_count = 0;
}

static void release(struct offers *offers, struct offer *offer)
{
    unlist(offers, offer);
    leave_shelves(offer);
    arena_destroy(offer->arena);
    free(offer);
}

static void forget(struct offers *offers, struct offer *offer)
{
    HASH_DEL(offer->tenant->offers, offer);
    release(offers, offer);
}

// --- what is known of a packet -------------------------------------------------------------------

static bool lies_on(const struct offer *offer, const struct shelf *shelf)
{
    for (size_t i = 0; i < offer->place_count; i++) {
        if (offer->places[i].shelf == shelf)
            return true;
    }
    return false;
}

static void put_on(struct offer *offer, struct shelf *shelf)
{
    if (lies_on(offer, shelf))
        return; // a tag that is given twice
    offer->places[offer->place_count++] = (struct place){.offer = offer, .shelf = shelf};
    shelf->places++;
}

static void put_on_shelves(struct offer *offer, const Hr__Metadata *metadata)
{
    struct owner *tenant = offer->tenant;
    struct shelf *agent = shelf_of(&tenant->agents, metadata->target_agent->id);

    offer->places = calloc(metadata->n_tags + 2, sizeof *offer->places);
    if (offer->places == NULL)
        abort();
    offer->agent = agent;
    put_on(offer, agent);
    if (!offer->addressed_only)
        put_on(offer, shelf_of(&tenant->open, text_of("")));
    for (size_t i = 0; i < metadata->n_tags; i++)
        put_on(offer, shelf_of(&tenant->tags, metadata->tags[i]));
}

static void read_declined(struct offer *offer, const Hr__Packet *packet)
{
    arena_destroy(offer->arena);
    offer->arena = NULL;
    offer->declined_count = packet->n_declined;
    if (packet->n_declined == 0)
        return;
    offer->arena = arena_create(512);
    offer->declined = arena_calloc(offer->arena, packet->n_declined, sizeof *offer->declined);
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

    leave_shelves(offer);
    offer->created_us = wire_timestamp_us(packet->created_at);
    offer->priority = priority_of(metadata);
    offer->addressed_only = metadata->claim_policy == HR__CLAIM_POLICY__CLAIM_POLICY_ADDRESSED;
    put_on_shelves(offer, metadata);
    read_declined(offer, packet);
}

static struct offer *offer_find(struct owner *tenant, const char *packet_id)
{
    struct offer *offer = NULL;

    HASH_FIND_STR(tenant->offers, packet_id, offer);
    return offer;
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

struct offer *offers_note(struct offers *offers, const char *tenant_name, const char *packet_id,
                          const struct stored *stored)
{
    const Hr__Packet *packet = stored->record->packet;
    struct owner *tenant = tenant_of(offers, tenant_name);
    struct offer *offer = offer_find(tenant, packet_id);
    bool open = packet->status == HR__STATUS__STATUS_CREATED && packet->metadata != NULL &&
                packet->metadata->target_agent != NULL;

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
    list_offer(offers, offer);
    return offer;
}

// --- what fits -----------------------------------------------------------------------------------

static bool has_declined(const struct offer *offer, Text agent_id)
{
    for (size_t i = 0; i < offer->declined_count; i++) {
        if (text_equal(offer->declined[i], agent_id))
            return true;
    }
    return false;
}

static bool has_tag(const struct offer *offer, Text tag)
{
    for (size_t i = 0; i < offer->place_count; i++) {
        const struct shelf *shelf = offer->places[i].shelf;

        if (shelf->table == &offer->tenant->tags && is_named(shelf, tag))
            return true;
    }
    return false;
}

static bool is_addressed(const struct offer *offer, Text agent_id)
{
    return is_named(offer->agent, agent_id) || is_named(offer->agent, text_of(ANY_AGENT));
}

bool offer_fits(const struct offer *offer, const struct wish *wish)
{
    if (!is_addressed(offer, wish->agent_id) && (!wish->any || offer->addressed_only))
        return false;
    if (has_declined(offer, wish->agent_id))
        return false;
    for (size_t i = 0; i < wish->tag_count; i++) {
        if (!has_tag(offer, wish->tags[i]))
            return false;
    }
    return true;
}

// --- looking -------------------------------------------------------------------------------------

// Each step of priority is worth so much waiting, so nothing waits for ever.
static int64_t rank(const struct offer *offer, int64_t aging_us)
{
    return offer->created_us - (int64_t)offer->priority * aging_us;
}

static struct shelf *shelf_at(struct owner *tenant, const struct wish *wish,
                              const struct search *search, size_t index)
{
    if (search->by_tag)
        return index == ON_TAG ? shelf_find(tenant->tags, wish->tags[search->rarest]) : NULL;
    switch (index) {
    case ON_OPEN:
        return wish->any ? tenant->open : NULL;
    case ON_OWN:
        return shelf_find(tenant->agents, wish->agent_id);
    default:
        return shelf_find(tenant->agents, text_of(ANY_AGENT));
    }
}

static size_t count_of(const struct shelf *shelf)
{
    return shelf != NULL ? shelf->count : 0;
}

static size_t find_rarest(struct owner *tenant, const struct wish *wish)
{
    size_t rarest = 0;
    size_t fewest = SIZE_MAX;

    for (size_t i = 0; i < wish->tag_count; i++) {
        size_t count = count_of(shelf_find(tenant->tags, wish->tags[i]));

        if (count < fewest) {
            fewest = count;
            rarest = i;
        }
    }
    return rarest;
}

void offers_search(const struct offers *offers, const struct wish *wish, struct search *search)
{
    struct owner *tenant = tenant_find(offers, wish->tenant);
    size_t addressed = 0;

    *search = (struct search){.by_tag = false};
    for (size_t i = 0; i < SEARCH_SHELVES; i++) {
        for (size_t priority = 0; priority < PRIORITIES; priority++)
            search->marks[i][priority].created_us = INT64_MIN;
    }
    if (tenant == NULL || wish->tag_count == 0)
        return;
    for (size_t i = 0; i < SEARCH_SHELVES; i++)
        addressed += count_of(shelf_at(tenant, wish, search, i));
    search->rarest = find_rarest(tenant, wish);
    search->by_tag = count_of(shelf_find(tenant->tags, wish->tags[search->rarest])) < addressed;
}

static void set_mark(struct search_mark *mark, const struct offer *offer)
{
    mark->created_us = offer->created_us;
    memcpy(mark->packet_id, offer->packet_id, sizeof mark->packet_id);
}

// The place at the mark, or the first behind it.
static struct place *place_at(struct list *list, const struct search_mark *mark)
{
    struct offer offer = {.created_us = mark->created_us};
    struct place place = {.offer = &offer};

    memcpy(offer.packet_id, mark->packet_id, sizeof offer.packet_id);
    return RB_NFIND(list, list, &place);
}

// False: the steps are used up. The mark goes as far as was looked.
static bool find_first(struct offer **first, struct list *list, struct search_mark *mark,
                       const struct wish *wish, size_t *steps)
{
    struct place *place = place_at(list, mark);
    struct place *last = NULL;

    while (place != NULL && *steps > 0 && !offer_fits(place->offer, wish)) {
        --*steps;
        last = place;
        place = RB_NEXT(list, list, place);
    }
    if (place != NULL)
        last = place;
    if (last != NULL)
        set_mark(mark, last->offer);
    *first = place != NULL ? place->offer : NULL;
    return place == NULL || *steps > 0;
}

static void consider(struct offer **best, struct offer *offer, const struct wish *wish)
{
    if (offer != NULL &&
        (*best == NULL || rank(offer, wish->aging_us) < rank(*best, wish->aging_us)))
        *best = offer;
}

static bool find_on_shelf(struct offer **best, struct shelf *shelf, struct search_mark *marks,
                          const struct wish *wish, size_t *steps)
{
    for (size_t i = PRIORITIES; shelf != NULL && i-- > 0;) {
        struct offer *first;

        if (!find_first(&first, &shelf->lists[i], &marks[i], wish, steps))
            return false;
        consider(best, first, wish);
    }
    return true;
}

enum look offers_take(struct offers *offers, const struct wish *wish, struct search *search,
                      size_t *steps, char packet_id[UUID_TEXT_BYTES])
{
    struct owner *tenant = tenant_find(offers, wish->tenant);
    struct offer *best = NULL;

    for (size_t i = 0; tenant != NULL && i < SEARCH_SHELVES; i++) {
        struct shelf *shelf = shelf_at(tenant, wish, search, i);

        if (!find_on_shelf(&best, shelf, search->marks[i], wish, steps))
            return LOOK_UNFINISHED;
    }
    if (best == NULL)
        return LOOK_NOTHING;
    offers_take_this(offers, best, packet_id);
    return LOOK_FOUND;
}

void search_note(struct search *search, const struct wish *wish, const struct offer *offer)
{
    if (!offer_fits(offer, wish))
        return;
    for (size_t i = 0; i < SEARCH_SHELVES; i++) {
        struct search_mark *mark = &search->marks[i][offer->priority];

        if (offer->created_us < mark->created_us || (offer->created_us == mark->created_us &&
                                                     strcmp(offer->packet_id, mark->packet_id) < 0))
            set_mark(mark, offer);
    }
}

void offers_take_this(struct offers *offers, struct offer *offer, char packet_id[UUID_TEXT_BYTES])
{
    unlist(offers, offer);
    memcpy(packet_id, offer->packet_id, UUID_TEXT_BYTES);
}

struct offer *offers_put_back(struct offers *offers, const char *tenant_name, const char *packet_id)
{
    struct owner *tenant = tenant_find(offers, tenant_name);
    struct offer *offer = tenant != NULL ? offer_find(tenant, packet_id) : NULL;

    if (offer == NULL || offer->listed)
        return NULL;
    list_offer(offers, offer);
    return offer;
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

void offers_reset(struct offers *offers)
{
    for (struct owner *tenant = offers->tenants; tenant != NULL; tenant = tenant->hh.next) {
        for (struct offer *offer = tenant->offers; offer != NULL; offer = offer->hh.next)
            offer->sequence = 0;
    }
}
