// Lists are filled from their end: the packet's own first, then the parent's, and so on. So a set
// of the ids that were seen is all it takes to know what a newer packet has.
#include "broker/packet/assemble.h"

#include "broker/message/members.h"
#include "broker/message/text_set.h"
#include "broker/packet/carry.h"

// Ids are told apart within one kind of item.
typedef Text (*id_fn)(const void *item);

struct list {
    void *const *items;
    size_t count;
};

// Of one kind: the list of the packet itself and those of its ancestors, and what becomes of them.
struct pile {
    void **items; // the last `count` of room are filled
    size_t room;
    size_t count;
    struct text_set seen;
    id_fn id;
};

static Text decision_id(const void *item)
{
    return ((const Hr__Decision *)item)->id;
}

static Text dependency_id(const void *item)
{
    return ((const Hr__Dependency *)item)->id;
}

static Text pending_id(const void *item)
{
    return ((const Hr__PendingAction *)item)->id;
}

static Text artifact_key(const void *item)
{
    return ((const Hr__Artifact *)item)->key;
}

static Text member_key(const void *item)
{
    return ((const struct member *)item)->key;
}

static void pile_init(struct pile *pile, struct arena *arena, size_t room, id_fn id)
{
    *pile = (struct pile){.room = room, .id = id, .seen = {.arena = arena}};
    pile->items = arena_calloc(arena, room, sizeof *pile->items);
}

// Puts a list before what is there, less what has been seen. Items of one list are not measured
// against each other: what a packet holds twice, it holds twice.
static void pile_put(struct pile *pile, struct list list)
{
    for (size_t i = list.count; i-- > 0;) {
        if (!text_set_has(&pile->seen, pile->id(list.items[i])))
            pile->items[pile->room - ++pile->count] = list.items[i];
    }
    for (size_t i = 0; i < list.count; i++)
        text_set_add(&pile->seen, pile->id(list.items[i]));
}

static void *pile_items(const struct pile *pile)
{
    return pile->items + (pile->room - pile->count);
}

// --- the kinds -----------------------------------------------------------------------------------

static struct list decisions_of(const Hr__Packet *packet)
{
    return (struct list){(void *const *)packet->decisions, packet->n_decisions};
}

static struct list dependencies_of(const Hr__Packet *packet)
{
    return (struct list){(void *const *)packet->dependencies, packet->n_dependencies};
}

static struct list artifacts_of(const Hr__Packet *packet)
{
    if (packet->context == NULL)
        return (struct list){NULL, 0};
    return (struct list){(void *const *)packet->context->artifacts, packet->context->n_artifacts};
}

static struct list pending_of(const Hr__Packet *packet)
{
    if (packet->actions == NULL)
        return (struct list){NULL, 0};
    return (struct list){(void *const *)packet->actions->pending, packet->actions->n_pending};
}

struct sources {
    const Hr__Packet *own;
    const struct layer *layers;
    size_t count;
    struct arena *arena;
};

static void pile_up(struct pile *pile, const struct sources *sources,
                    struct list (*list_of)(const Hr__Packet *packet), id_fn id, unsigned carry)
{
    size_t room = list_of(sources->own).count;

    for (size_t i = 0; i < sources->count; i++)
        room += list_of(sources->layers[i].packet).count;
    pile_init(pile, sources->arena, room, id);
    pile_put(pile, list_of(sources->own));
    for (size_t i = 0; i < sources->count; i++) {
        if ((sources->layers[i].carry & carry) != 0)
            pile_put(pile, list_of(sources->layers[i].packet));
    }
}

// Nothing that is older than the end of an action makes it pending again.
static void close_actions(struct text_set *seen, const Hr__Actions *actions)
{
    for (size_t i = 0; actions != NULL && i < actions->n_completed; i++)
        text_set_add(seen, actions->completed[i]->id);
    for (size_t i = 0; actions != NULL && i < actions->n_failed; i++)
        text_set_add(seen, actions->failed[i]->id);
}

static void pile_up_pending(struct pile *pile, const struct sources *sources)
{
    size_t room = pending_of(sources->own).count;

    for (size_t i = 0; i < sources->count; i++)
        room += pending_of(sources->layers[i].packet).count;
    pile_init(pile, sources->arena, room, pending_id);
    pile_put(pile, pending_of(sources->own));
    close_actions(&pile->seen, sources->own->actions);
    for (size_t i = 0; i < sources->count; i++) {
        const Hr__Packet *packet = sources->layers[i].packet;

        close_actions(&pile->seen, packet->actions); // before: its own pending ones may be over
        if ((sources->layers[i].carry & CARRY_PENDING_ACTIONS) != 0)
            pile_put(pile, pending_of(packet));
    }
}

static void put_conversation(Hr__Context *context, const struct sources *sources)
{
    size_t count = context->n_conversation_state;
    Hr__ConversationEntry **entries;
    size_t at;

    for (size_t i = 0; i < sources->count; i++)
        count += sources->layers[i].packet->context != NULL
                     ? sources->layers[i].packet->context->n_conversation_state
                     : 0;
    entries = arena_calloc(sources->arena, count, sizeof(Hr__ConversationEntry *));
    at = count;
    for (size_t i = context->n_conversation_state; i-- > 0;)
        entries[--at] = context->conversation_state[i];
    for (size_t i = 0; i < sources->count; i++) {
        const Hr__Context *from = sources->layers[i].packet->context;

        if (from == NULL || (sources->layers[i].carry & CARRY_CONVERSATION) == 0)
            continue;
        for (size_t k = from->n_conversation_state; k-- > 0;)
            entries[--at] = from->conversation_state[k];
    }
    context->conversation_state = entries + at;
    context->n_conversation_state = count - at;
}

// --- custom, and the context's unknown members ---------------------------------------------------

typedef const Hr__Json *(*json_fn)(const Hr__Packet *packet);

static const Hr__Json *custom_of(const Hr__Packet *packet)
{
    return packet->context != NULL ? packet->context->custom : NULL;
}

static const Hr__Json *extra_of(const Hr__Packet *packet)
{
    return packet->context != NULL ? packet->context->extra : NULL;
}

static enum rc members_of(struct list *list, const Hr__Json *json, struct arena *arena)
{
    struct members members;
    void **items;

    *list = (struct list){NULL, 0};
    if (json == NULL || text_is(json->text, "{}"))
        return RC_OK;
    if (!members_read(&members, json->text, arena))
        return RC_CORRUPT;
    items = arena_calloc(arena, members.count, sizeof *items);
    for (size_t i = 0; i < members.count; i++)
        items[i] = &members.items[i];
    *list = (struct list){items, members.count};
    return RC_OK;
}

static Text object_of(const struct pile *pile, struct arena *arena)
{
    void *const *items = pile_items(pile);
    struct members members = {arena_calloc(arena, pile->count, sizeof *members.items), pile->count};

    for (size_t i = 0; i < pile->count; i++)
        members.items[i] = *(const struct member *)items[i];
    return members_join(&members, arena);
}

// *json: the packet's own object, in context; it becomes one with the members of the ancestors'.
static enum rc put_object(Hr__Json **json, json_fn json_of, const struct sources *sources)
{
    struct list *lists = arena_calloc(sources->arena, sources->count + 1, sizeof *lists);
    enum rc rc = members_of(&lists[0], json_of(sources->own), sources->arena);
    size_t room = lists[0].count;
    struct pile pile;

    for (size_t i = 0; i < sources->count && rc == RC_OK; i++) {
        if ((sources->layers[i].carry & CARRY_CUSTOM) != 0)
            rc = members_of(&lists[i + 1], json_of(sources->layers[i].packet), sources->arena);
        room += lists[i + 1].count;
    }
    if (rc != RC_OK || room == lists[0].count)
        return rc; // its own text stands
    pile_init(&pile, sources->arena, room, member_key);
    for (size_t i = 0; i <= sources->count; i++)
        pile_put(&pile, lists[i]);
    *json = wire_json(sources->arena, object_of(&pile, sources->arena));
    return RC_OK;
}

// --- the whole -----------------------------------------------------------------------------------

static enum rc put_context(Hr__Packet *packet, const struct sources *sources)
{
    Hr__Context *context = wire_new(sources->arena, &hr__context__descriptor);
    struct pile pile;
    enum rc rc;

    if (packet->context != NULL)
        *context = *packet->context;
    put_conversation(context, sources);
    pile_up(&pile, sources, artifacts_of, artifact_key, CARRY_ARTIFACTS);
    context->artifacts = pile_items(&pile);
    context->n_artifacts = pile.count;
    rc = put_object(&context->custom, custom_of, sources);
    if (rc == RC_OK)
        rc = put_object(&context->extra, extra_of, sources);
    packet->context = context;
    return rc;
}

static void put_pending(Hr__Packet *packet, const struct sources *sources)
{
    Hr__Actions *actions = wire_new(sources->arena, &hr__actions__descriptor);
    struct pile pile;

    if (packet->actions != NULL)
        *actions = *packet->actions;
    pile_up_pending(&pile, sources);
    actions->pending = pile_items(&pile);
    actions->n_pending = pile.count;
    packet->actions = actions;
}

enum rc assemble(Hr__Packet *packet, const struct layer *layers, size_t count, struct arena *arena)
{
    const Hr__Packet own = *packet;
    const struct sources sources = {&own, layers, count, arena};
    struct pile pile;

    if (count == 0)
        return RC_OK;
    pile_up(&pile, &sources, decisions_of, decision_id, CARRY_DECISIONS);
    packet->decisions = pile_items(&pile);
    packet->n_decisions = pile.count;
    pile_up(&pile, &sources, dependencies_of, dependency_id, CARRY_DEPENDENCIES);
    packet->dependencies = pile_items(&pile);
    packet->n_dependencies = pile.count;
    put_pending(packet, &sources);
    return put_context(packet, &sources);
}
