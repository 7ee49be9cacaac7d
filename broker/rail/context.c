// Rounds of up to 8 loads. What a round takes is known before it begins, because every reference
// says how much its version holds and what that takes over itself; so a record that is not taken is
// loaded only to learn whom it names, and is gone when the next one comes.
#include "broker/rail/context.h"

#include "broker/base/id.h"
#include "broker/packet/assemble.h"
#include "broker/packet/carry.h"
#include "broker/packet/chain.h"
#include "broker/packet/own_content.h"
#include "broker/rail/version.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define LOAD_ARENA_BYTES (16 * 1024)
#define LIST_FIRST 16

// A list in an arena that grows.
struct layers {
    struct layer *items;
    size_t count;
    size_t room;
};

struct refs {
    Hr__AncestorRef **items;
    size_t count;
    size_t room;
};

struct walk;

// One record of a round. Its arena is gone with the round.
struct slot {
    struct walk *walk;
    const Hr__AncestorRef *ref;
    struct layer *layer; // where what it holds goes; NULL: nowhere
    bool is_last;        // of the round: it names the next ones
    struct arena *arena;
};

struct walk {
    struct store *store;
    const char *tenant;
    Hr__Packet *packet;
    struct arena *arena;
    context_done_fn done;
    void *ctx;

    int64_t room;   // bytes that may still be taken
    bool full;      // something did not fit: nothing older is taken either
    unsigned carry; // what the next ancestor is asked for
    size_t met;     // ancestors so far
    struct layers layers;
    struct refs omitted;

    Hr__AncestorRef **refs; // of this round
    size_t ref_count;
    struct slot slots[CHAIN_WINDOW];
    size_t loading;
    Hr__AncestorRef **next_refs; // of the next one, in the arena
    size_t next_count;
    enum rc rc; // of the first load that failed
    const Hr__AncestorRef *failed;
};

static void run_round(struct walk *walk);

// --- lists ---------------------------------------------------------------------------------------

static struct layer *add_layer(struct walk *walk, unsigned carry)
{
    struct layers *layers = &walk->layers;

    if (layers->count == layers->room) {
        struct layer *items;

        layers->room = layers->room > 0 ? layers->room * 2 : LIST_FIRST;
        items = arena_calloc(walk->arena, layers->room, sizeof *items);
        if (layers->count > 0)
            memcpy(items, layers->items, layers->count * sizeof *items);
        layers->items = items;
    }
    layers->items[layers->count] = (struct layer){NULL, carry};
    return &layers->items[layers->count++];
}

static void add_omitted(struct walk *walk, Hr__AncestorRef *ref)
{
    struct refs *refs = &walk->omitted;

    if (refs->count == refs->room) {
        Hr__AncestorRef **items;

        refs->room = refs->room > 0 ? refs->room * 2 : LIST_FIRST;
        items = arena_calloc(walk->arena, refs->room, sizeof(Hr__AncestorRef *));
        if (refs->count > 0)
            memcpy(items, refs->items, refs->count * sizeof(Hr__AncestorRef *));
        refs->items = items;
    }
    refs->items[refs->count++] = ref;
}

// Out of an arena that goes.
static void *copy_message(struct arena *to, struct arena *from, const ProtobufCMessage *message)
{
    Text bytes = wire_pack(from, message);
    ProtobufCMessage *copy = NULL;
    enum rc rc = wire_unpack(&copy, to, message->descriptor, bytes.data, bytes.len);

    assert(rc == RC_OK);
    (void)rc;
    return copy;
}

static Hr__AncestorRef **copy_refs(struct walk *walk, struct arena *from,
                                   const Hr__Lineage *lineage, size_t *count)
{
    Hr__AncestorRef **refs = arena_calloc(walk->arena, CHAIN_WINDOW, sizeof(Hr__AncestorRef *));

    *count = 0;
    for (size_t i = 0; lineage != NULL && i < lineage->n_ancestors && i < CHAIN_WINDOW; i++)
        refs[(*count)++] = copy_message(walk->arena, from, &lineage->ancestors[i]->base);
    return refs;
}

// --- the end -------------------------------------------------------------------------------------

static void fail(struct walk *walk, enum rc rc, const Hr__AncestorRef *ref)
{
    struct problem problem;

    if (rc == RC_NOT_FOUND && ref != NULL)
        (void)problem_set(&problem, walk->arena, PROBLEM_INTERNAL,
                          "The context cannot be put together: the version of packet %.*s that was "
                          "taken over is in neither the stream nor Postgres",
                          TEXT_ARGS(ref->packet_id));
    else
        (void)problem_of_rc(&problem, walk->arena, rc);
    walk->done(walk->ctx, &problem);
}

static void finish(struct walk *walk)
{
    Hr__Packet *packet = walk->packet;
    Hr__Lineage *lineage = wire_new(walk->arena, &hr__lineage__descriptor);
    Hr__Packet whole = *packet;
    enum rc rc = assemble(&whole, walk->layers.items, walk->layers.count, walk->arena);

    if (rc != RC_OK) {
        fail(walk, rc, NULL);
        return;
    }
    *lineage = *packet->lineage;
    lineage->has_assembled = true;
    lineage->assembled = true;
    lineage->omitted = walk->omitted.items;
    lineage->n_omitted = walk->omitted.count;
    *packet = whole;
    packet->lineage = lineage;
    walk->done(walk->ctx, NULL);
}

// --- a round -------------------------------------------------------------------------------------

static void end_round(struct walk *walk)
{
    if (walk->rc != RC_OK) {
        fail(walk, walk->rc, walk->failed);
        return;
    }
    walk->refs = walk->next_refs;
    walk->ref_count = walk->next_count;
    walk->next_count = 0;
    run_round(walk);
}

static void take(struct slot *slot, const Hr__Packet *packet)
{
    struct walk *walk = slot->walk;

    if (slot->layer != NULL) {
        Hr__Packet part = *packet;

        // The rest of it may be far larger.
        part.metadata = NULL;
        part.hitl = NULL;
        part.claim = NULL;
        part.lineage = NULL;
        part.n_declined = 0;
        slot->layer->packet = copy_message(walk->arena, slot->arena, &part.base);
    }
    if (slot->is_last)
        walk->next_refs = copy_refs(walk, slot->arena, packet->lineage, &walk->next_count);
}

static void on_loaded(void *ctx, enum rc rc, Hr__Packet *packet)
{
    struct slot *slot = ctx;
    struct walk *walk = slot->walk;
    struct arena *arena = slot->arena;

    if (rc == RC_OK) {
        take(slot, packet);
    } else if (walk->rc == RC_OK) {
        walk->rc = rc;
        walk->failed = slot->ref;
    }
    slot->arena = NULL;
    arena_destroy(arena);
    if (--walk->loading == 0)
        end_round(walk);
}

static bool fits(struct walk *walk, const Hr__AncestorRef *ref)
{
    if (walk->full || ref->bytes > walk->room) {
        walk->full = true;
        return false;
    }
    walk->room -= ref->bytes;
    return true;
}

// Which records of the round are to be loaded, and what for. Returns how many.
static size_t plan(struct walk *walk)
{
    bool taken[CHAIN_WINDOW];
    unsigned carries[CHAIN_WINDOW];
    size_t first = walk->layers.count;
    size_t met = 0;
    size_t count = 0;
    size_t layer = first;

    for (; met < walk->ref_count && walk->carry != 0; met++) {
        Hr__AncestorRef *ref = walk->refs[met];

        carries[met] = walk->carry;
        taken[met] = fits(walk, ref);
        if (taken[met])
            (void)add_layer(walk, carries[met]);
        else
            add_omitted(walk, ref);
        if (ref->carry != NULL)
            walk->carry &= carry_of(ref->carry->items, ref->carry->n_items);
    }
    // The list has stopped growing: its items stay where they are until the round has ended.
    for (size_t i = 0; i < met; i++) {
        bool is_last =
            i + 1 == walk->ref_count && walk->ref_count == CHAIN_WINDOW && walk->carry != 0;

        if (taken[i] || is_last)
            walk->slots[count++] =
                (struct slot){.walk = walk,
                              .ref = walk->refs[i],
                              .layer = taken[i] ? &walk->layers.items[layer++] : NULL,
                              .is_last = is_last};
    }
    return count;
}

static void run_round(struct walk *walk)
{
    size_t count = plan(walk);

    if (count == 0) {
        finish(walk);
        return;
    }
    walk->loading = count;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &walk->slots[i];

        slot->arena = arena_create(LOAD_ARENA_BYTES);
        version_load(walk->store, walk->tenant, slot->ref, slot->arena, on_loaded, slot);
    }
}

void context_assemble(struct store *store, const char *tenant, Hr__Packet *packet,
                      struct arena *arena, context_done_fn done, void *ctx)
{
    Hr__Lineage *lineage = packet->lineage;
    struct walk *walk;

    if (lineage == NULL) {
        done(ctx, NULL);
        return;
    }
    walk = arena_calloc(arena, 1, sizeof *walk);
    walk->store = store;
    walk->tenant = tenant;
    walk->packet = packet;
    walk->arena = arena;
    walk->done = done;
    walk->ctx = ctx;
    walk->room = lineage->has_max_context_bytes ? lineage->max_context_bytes : CHAIN_CONTEXT_BYTES;
    walk->carry = carry_of(lineage->carry, lineage->n_carry);
    walk->refs = lineage->ancestors;
    walk->ref_count = lineage->n_ancestors < CHAIN_WINDOW ? lineage->n_ancestors : CHAIN_WINDOW;
    run_round(walk);
}

// --- one ancestor --------------------------------------------------------------------------------

struct search {
    struct store *store;
    const char *tenant;
    struct arena *arena;
    struct arena *hop; // of the record whose references are looked at; NULL: the packet's own
    Text from;         // as it was asked for
    char packet_id[UUID_TEXT_BYTES];
    uint64_t sequence; // 0: whichever
    Hr__AncestorRef **refs;
    size_t ref_count;
    const Hr__AncestorRef *found;
    context_found_fn done;
    void *ctx;
};

static void end_search(struct search *search, const Hr__OwnPart *part, uint64_t sequence,
                       const struct problem *problem)
{
    struct arena *hop = search->hop;

    search->hop = NULL;
    search->done(search->ctx, part, sequence,
                 problem); // the search is gone with the caller's arena
    arena_destroy(hop);
}

static void refuse_search(struct search *search)
{
    struct problem problem;

    (void)problem_set(&problem, search->arena, PROBLEM_NOT_FOUND,
                      "%.*s is not an ancestor of this packet", TEXT_ARGS(search->from));
    end_search(search, NULL, 0, &problem);
}

static void fail_search(struct search *search, enum rc rc)
{
    struct problem problem;

    if (rc == RC_NOT_FOUND || rc == RC_CORRUPT)
        (void)problem_set(&problem, search->arena, PROBLEM_INTERNAL,
                          "The version of %.*s that was taken over is in neither the stream nor "
                          "Postgres",
                          TEXT_ARGS(search->from));
    else
        (void)problem_of_rc(&problem, search->arena, rc);
    end_search(search, NULL, 0, &problem);
}

static void on_found(void *ctx, enum rc rc, Hr__Packet *packet)
{
    struct search *search = ctx;
    const Hr__AncestorRef *ref = search->found;
    const Hr__OwnPart *part;

    if (rc != RC_OK) {
        fail_search(search, rc);
        return;
    }
    part = own_part_of(packet, ref->event_id, search->arena);
    if (!own_part_is(part, ref->sha256, search->arena))
        fail_search(search, RC_CORRUPT);
    else
        end_search(search, part, ref->sequence, NULL);
}

static void look(struct search *search);

static void on_hop(void *ctx, enum rc rc, Hr__Packet *packet)
{
    struct search *search = ctx;

    if (rc != RC_OK) {
        fail_search(search, rc);
        return;
    }
    search->refs = packet->lineage != NULL ? packet->lineage->ancestors : NULL;
    search->ref_count = packet->lineage != NULL ? packet->lineage->n_ancestors : 0;
    look(search);
}

static void look(struct search *search)
{
    struct arena *last_hop = search->hop;
    const Hr__AncestorRef *ref = NULL;

    for (size_t i = 0; i < search->ref_count; i++) {
        ref = search->refs[i];
        if (!text_is(ref->packet_id, search->packet_id))
            continue;
        if (search->sequence != 0 && search->sequence != ref->sequence)
            break;
        search->found = copy_message(search->arena, search->arena, &ref->base);
        version_load(search->store, search->tenant, search->found, search->arena, on_found, search);
        return;
    }
    if (search->ref_count < CHAIN_WINDOW || text_is(ref->packet_id, search->packet_id)) {
        refuse_search(search);
        return;
    }
    search->found = copy_message(search->arena, search->arena, &ref->base);
    search->hop = arena_create(LOAD_ARENA_BYTES);
    arena_destroy(last_hop);
    version_load(search->store, search->tenant, search->found, search->hop, on_hop, search);
}

// "<uuid>" or "<uuid>@<sequence>". False: it is neither.
static bool read_from(struct search *search, Text from)
{
    const char *at = from.len > 0 ? memchr(from.data, '@', from.len) : NULL;
    size_t id_len = at != NULL ? (size_t)(at - (const char *)from.data) : from.len;
    struct uuid id;
    char digits[24];
    char *end;
    size_t len;

    if (uuid_parse((const char *)from.data, id_len, &id) != NULL)
        return false;
    uuid_format(search->packet_id, &id);
    if (at == NULL)
        return true;
    len = from.len - id_len - 1;
    if (len == 0 || len >= sizeof digits || at[1] < '0' || at[1] > '9')
        return false;
    memcpy(digits, at + 1, len);
    digits[len] = '\0';
    errno = 0;
    search->sequence = strtoull(digits, &end, 10);
    return errno == 0 && *end == '\0' && search->sequence > 0;
}

void context_find(struct store *store, const char *tenant, const Hr__Packet *packet, Text from,
                  struct arena *arena, context_found_fn done, void *ctx)
{
    struct search *search = arena_calloc(arena, 1, sizeof *search);
    const Hr__Lineage *lineage = packet->lineage;

    search->store = store;
    search->tenant = tenant;
    search->arena = arena;
    search->from = from;
    search->done = done;
    search->ctx = ctx;
    if (!read_from(search, from) || lineage == NULL) {
        refuse_search(search);
        return;
    }
    search->refs = lineage->ancestors;
    search->ref_count = lineage->n_ancestors;
    look(search);
}
