// What a packet of a chain holds, put together: by examples, and against the plain definition of it
// on many chains made by chance.
#include "broker/packet/assemble.h"

#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/packet/carry.h"
#include "tests/unit/messages.h"

#include <stdlib.h>

#define CHAINS 3000
#define LINKS_MAX 7

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(256 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(assemble, .init = set_up, .fini = tear_down);

// A packet out of the members of an UpdatePacket, whose lists are all there is to it.
static Hr__Packet *packet_of(const char *json)
{
    const Hr__UpdatePacket *from =
        (const Hr__UpdatePacket *)message_of(memory, &hr__update_packet__descriptor, json);
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    packet->context = from->context;
    packet->actions = wire_new(memory, &hr__actions__descriptor);
    if (from->decisions != NULL) {
        packet->decisions = from->decisions->items;
        packet->n_decisions = from->decisions->n_items;
    }
    if (from->dependencies != NULL) {
        packet->dependencies = from->dependencies->items;
        packet->n_dependencies = from->dependencies->n_items;
    }
    if (from->actions != NULL && from->actions->pending != NULL) {
        packet->actions->pending = from->actions->pending->items;
        packet->actions->n_pending = from->actions->pending->n_items;
    }
    if (from->actions != NULL && from->actions->completed != NULL) {
        packet->actions->completed = from->actions->completed->items;
        packet->actions->n_completed = from->actions->completed->n_items;
    }
    if (from->actions != NULL && from->actions->failed != NULL) {
        packet->actions->failed = from->actions->failed->items;
        packet->actions->n_failed = from->actions->failed->n_items;
    }
    return packet;
}

static Hr__Packet *context_of(const char *members)
{
    return packet_of(arena_printf(memory, "{\"context\":{\"summary\":\"s\"%s}}", members));
}

// child goes on from parent and takes over these parts.
static Hr__Packet *join(Hr__Packet *child, const Hr__Packet *parent, unsigned carry)
{
    const struct layer layer = {parent, carry};

    cr_assert_eq(assemble(child, &layer, 1, memory), RC_OK);
    return child;
}

static const char *custom_of(const char *parent, const char *child)
{
    Hr__Packet *from = context_of(arena_printf(memory, ",\"custom\":%s", parent));
    Hr__Packet *to = context_of(arena_printf(memory, ",\"custom\":%s", child));
    Text text = join(to, from, CARRY_ALL)->context->custom->text;

    return arena_copy(memory, text.data, text.len);
}

// --- examples ------------------------------------------------------------------------------------

Test(assemble, a_packet_without_ancestors_is_what_it_holds)
{
    Hr__Packet *packet = context_of("");
    const Hr__Packet before = *packet;

    cr_assert_eq(assemble(packet, NULL, 0, memory), RC_OK);
    cr_assert_eq(memcmp(packet, &before, sizeof before), 0);
}

Test(assemble, the_conversation_is_the_parents_then_the_childs)
{
    const Hr__Packet *packet =
        join(context_of(",\"conversation_state\":[{\"role\":\"user\",\"content\":\"3\"}]"),
             context_of(",\"conversation_state\":[{\"role\":\"user\",\"content\":\"1\"},"
                        "{\"role\":\"user\",\"content\":\"2\"}]"),
             CARRY_CONVERSATION);

    cr_assert_eq(packet->context->n_conversation_state, 3);
    for (size_t i = 0; i < 3; i++)
        ASSERT_TEXT(packet->context->conversation_state[i]->content,
                    arena_printf(memory, "%zu", i + 1));
}

Test(assemble, what_the_child_has_too_is_the_childs)
{
    const Hr__Packet *packet =
        join(packet_of("{\"context\":{\"summary\":\"s\"},\"decisions\":["
                       "{\"id\":\"b\",\"decision\":\"new\",\"rationale\":\"\"},"
                       "{\"id\":\"c\",\"decision\":\"new\",\"rationale\":\"\"}]}"),
             packet_of("{\"context\":{\"summary\":\"t\"},\"decisions\":["
                       "{\"id\":\"a\",\"decision\":\"old\",\"rationale\":\"\"},"
                       "{\"id\":\"b\",\"decision\":\"old\",\"rationale\":\"\"}]}"),
             CARRY_ALL);

    cr_assert_eq(packet->n_decisions, 3);
    ASSERT_TEXT(packet->decisions[0]->id, "a");
    ASSERT_TEXT(packet->decisions[0]->decision, "old");
    ASSERT_TEXT(packet->decisions[1]->decision, "new");
    ASSERT_TEXT(packet->decisions[2]->id, "c");
    ASSERT_TEXT(packet->context->summary, "s");
}

Test(assemble, unknown_members_of_the_context_are_carried_like_custom_and_others_with_their_entries)
{
    const char *parent =
        ",\"a\":1.0,\"b\":[1],\"artifacts\":[{\"key\":\"k\",\"value\":\"\",\"c\":1}]";
    const Hr__Packet *packet =
        join(context_of(",\"b\":2,\"d\":null"), context_of(parent), CARRY_ALL);

    ASSERT_TEXT(packet->context->extra->text, "{\"a\":1.0,\"b\":2,\"d\":null}");
    ASSERT_TEXT(packet->context->artifacts[0]->extra->text, "{\"c\":1}");
    packet = join(context_of(""), context_of(parent), CARRY_CONTEXT & ~(unsigned)CARRY_CUSTOM);
    cr_assert_null(packet->context->extra);
    cr_assert_null(join(context_of(""), context_of(""), CARRY_ALL)->context->extra);
}

#define PENDING(id) "{\"id\":\"" id "\",\"description\":\"d\",\"assignee\":\"a\"}"
#define COMPLETED(id) "{\"id\":\"" id "\",\"description\":\"d\",\"result\":\"r\"}"
#define FAILED(id) "{\"id\":\"" id "\",\"description\":\"d\",\"error\":\"e\"}"

Test(assemble, actions_that_came_to_an_end_are_not_pending)
{
    const Hr__Packet *packet =
        join(packet_of("{\"context\":{\"summary\":\"s\"},\"actions\":{\"pending\":"
                       "[" PENDING("own") "," PENDING("4") "],\"completed\":[" COMPLETED(
                           "1") "," COMPLETED("own") "],\"failed\":[" FAILED("2") "]}}"),
             packet_of("{\"context\":{\"summary\":\"s\"},\"actions\":{\"pending\":"
                       "[" PENDING("1") "," PENDING("2") "," PENDING("3") "," PENDING(
                           "4") "," PENDING("5") "],\"completed\":[" COMPLETED("5") "]}}"),
             CARRY_ALL);

    cr_assert_eq(packet->actions->n_pending, 3);
    ASSERT_TEXT(packet->actions->pending[0]->id, "3");
    ASSERT_TEXT(packet->actions->pending[1]->id, "own");
    ASSERT_TEXT(packet->actions->pending[2]->id, "4");
    cr_assert_eq(packet->actions->n_completed, 2);
    cr_assert_eq(packet->actions->n_failed, 1);
}

Test(assemble, custom_keys_are_merged_as_they_stand)
{
    cr_assert_str_eq(custom_of("{}", "{ \"a\" : 1 }"), "{ \"a\" : 1 }");
    cr_assert_str_eq(custom_of("{\"a\":1.50e0}", "{}"), "{\"a\":1.50e0}");
    cr_assert_str_eq(custom_of("{\"a\": [1, 2],\"b\":\"\\u0041\"}", "{\"b\":{}, \"c\":null}"),
                     "{\"a\": [1, 2],\"b\":{},\"c\":null}");
    cr_assert_str_eq(custom_of("{\"\\u0061\":1}", "{\"a\":2}"), "{\"a\":2}");
    cr_assert_str_eq(custom_of("{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}"), "{\"a\":{\"y\":2}}");
}

Test(assemble, nothing_else_of_the_packet_changes)
{
    Hr__Packet *packet = context_of("");
    Hr__Packet before;

    packet->has_status = true;
    packet->status = HR__STATUS__STATUS_FAILED;
    before = *packet;
    (void)join(packet, context_of(",\"artifacts\":[{\"key\":\"k\",\"value\":[]}]"), CARRY_ALL);
    cr_assert_eq(packet->context->n_artifacts, 1);
    cr_assert_eq(before.context->n_artifacts, 0, "what was borrowed is as it was");
    cr_assert_eq(packet->status, before.status);
}

Test(assemble, custom_that_is_no_object_is_told)
{
    Hr__Packet *packet = context_of("");
    Hr__Packet *parent = context_of("");
    const struct layer layer = {parent, CARRY_ALL};

    parent->context->custom = wire_json(memory, text_of("[1]"));
    cr_assert_eq(assemble(packet, &layer, 1, memory), RC_CORRUPT);
}

// --- the plain definition ------------------------------------------------------------------------

// A child has what its parent has, as far as it is carried and the child does not say otherwise. So
// a chain is put together link by link; only `custom` is left out here, whose members have no
// message of their own.

typedef Text (*id_fn)(const void *item);

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

static bool is_among(Text id, void *const *items, size_t count, id_fn id_of)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(id_of(items[i]), id))
            return true;
    }
    return false;
}

static bool is_over(Text id, const Hr__Actions *actions)
{
    for (size_t i = 0; i < actions->n_completed; i++) {
        if (text_equal(actions->completed[i]->id, id))
            return true;
    }
    for (size_t i = 0; i < actions->n_failed; i++) {
        if (text_equal(actions->failed[i]->id, id))
            return true;
    }
    return false;
}

static void *plain(void *const *old, size_t *count, void *const *own, size_t own_count, id_fn id_of,
                   const Hr__Actions *one, const Hr__Actions *other)
{
    void **items = arena_calloc(memory, *count + own_count, sizeof *items);
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++) {
        Text id = id_of(old[i]);

        if (!is_among(id, own, own_count, id_of) &&
            (one == NULL || (!is_over(id, one) && !is_over(id, other))))
            items[kept++] = old[i];
    }
    for (size_t i = 0; i < own_count; i++)
        items[kept++] = own[i];
    *count = kept;
    return items;
}

#define PLAIN(field, list, id_of, part, one, other)                                                \
    do {                                                                                           \
        size_t count = (carry & (part)) != 0 ? (parent)->n_##field : 0;                            \
        (list)->field = plain((void *const *)(parent)->field, &count, (void *const *)(own)->field, \
                              (own)->n_##field, id_of, one, other);                                \
        (list)->n_##field = count;                                                                 \
    } while (0)

// whole: what the parent has with all that it took over; bare: what it holds itself.
static Hr__Packet *go_on(const Hr__Packet *whole, const Hr__Packet *child, unsigned carry)
{
    Hr__Packet *result = wire_new(memory, &hr__packet__descriptor);
    Hr__Context *context = wire_new(memory, &hr__context__descriptor);
    Hr__Actions *actions = wire_new(memory, &hr__actions__descriptor);
    size_t said = 0;

    *context = *child->context;
    *actions = *child->actions;
    {
        const Hr__Packet *parent = whole;
        const Hr__Packet *own = child;

        PLAIN(decisions, result, decision_id, CARRY_DECISIONS, NULL, NULL);
        PLAIN(dependencies, result, dependency_id, CARRY_DEPENDENCIES, NULL, NULL);
    }
    {
        const Hr__Context *parent = whole->context;
        const Hr__Context *own = child->context;

        PLAIN(artifacts, context, artifact_key, CARRY_ARTIFACTS, NULL, NULL);
        context->conversation_state =
            arena_calloc(memory, parent->n_conversation_state + own->n_conversation_state,
                         sizeof(Hr__ConversationEntry *));
        for (size_t i = 0; (carry & CARRY_CONVERSATION) != 0 && i < parent->n_conversation_state;
             i++)
            context->conversation_state[said++] = parent->conversation_state[i];
        for (size_t i = 0; i < own->n_conversation_state; i++)
            context->conversation_state[said++] = own->conversation_state[i];
        context->n_conversation_state = said;
    }
    {
        const Hr__Actions *parent = whole->actions;
        const Hr__Actions *own = child->actions;

        PLAIN(pending, actions, pending_id, CARRY_PENDING_ACTIONS, parent, own);
    }
    result->context = context;
    result->actions = actions;
    return result;
}

// --- chance --------------------------------------------------------------------------------------

static unsigned pick(unsigned count)
{
    return (unsigned)rand() % count;
}

// A list of a few items: an id between the first two texts, a number between the last two. Ids are
// of few letters, so that they meet.
static const char *items(const char *before, const char *between, const char *after)
{
    const char *text = "";
    unsigned count = pick(4);

    for (unsigned i = 0; i < count; i++) {
        const char *item = arena_printf(memory, "%s%c%s%u%s", before, (int)('a' + pick(6)), between,
                                        pick(1000), after);

        text = arena_printf(memory, "%s%s%s", text, i > 0 ? "," : "", item);
    }
    return text;
}

static Hr__Packet *packet_by_chance(void)
{
    return packet_of(arena_printf(
        memory,
        "{\"context\":{\"summary\":\"s\",\"conversation_state\":[%s],\"artifacts\":[%s]},"
        "\"decisions\":[%s],\"dependencies\":[%s],"
        "\"actions\":{\"pending\":[%s],\"completed\":[%s],\"failed\":[%s]}}",
        items("{\"role\":\"user\",\"content\":\"", "", "\"}"),
        items("{\"key\":\"", "\",\"value\":[", "]}"),
        items("{\"id\":\"", "\",\"decision\":\"", "\",\"rationale\":\"\"}"),
        items("{\"id\":\"", "\",\"type\":\"api\",\"description\":\"", "\"}"),
        items("{\"id\":\"", "\",\"description\":\"", "\",\"assignee\":\"\"}"),
        items("{\"id\":\"", "\",\"description\":\"", "\",\"result\":\"\"}"),
        items("{\"id\":\"", "\",\"description\":\"", "\",\"error\":\"\"}")));
}

static void check_chain(void)
{
    Hr__Packet *links[LINKS_MAX]; // the root first
    unsigned carries[LINKS_MAX];  // from the link before
    struct layer layers[LINKS_MAX];
    size_t count = 1 + pick(LINKS_MAX);
    const Hr__Packet *expected;
    Hr__Packet *packet;
    unsigned carry = CARRY_ALL;

    for (size_t i = 0; i < count; i++) {
        links[i] = packet_by_chance();
        carries[i] = pick(3) == 0 ? pick(CARRY_ALL + 1) : CARRY_ALL;
    }
    expected = links[0];
    for (size_t i = 1; i < count; i++)
        expected = go_on(expected, links[i], carries[i]);
    for (size_t i = 0; i + 1 < count; i++) {
        carry &= carries[count - 1 - i];
        layers[i] = (struct layer){links[count - 2 - i], carry};
    }
    packet = links[count - 1];
    cr_assert_eq(assemble(packet, layers, count - 1, memory), RC_OK);
    packet->context->custom = expected->context->custom;
    cr_assert_str_eq(json_text_of(memory, &packet->base), json_text_of(memory, &expected->base));
}

Test(assemble, chains_by_chance_are_what_the_definition_says)
{
    srand(7);
    for (int i = 0; i < CHAINS; i++) {
        check_chain();
        arena_reset(memory);
    }
}

// The same of `custom`, whose definition is that of a dictionary that is updated.
Test(assemble, custom_by_chance_is_what_the_definition_says)
{
    srand(11);
    for (int i = 0; i < CHAINS; i++) {
        struct layer layers[LINKS_MAX];
        Hr__Packet *packet = NULL;
        int values[6];
        Text text;

        for (int k = 0; k < 6; k++)
            values[k] = -1;
        for (int k = LINKS_MAX; k >= 0; k--) { // the root first
            const char *members = "";

            for (int m = 0; m < 6; m++) {
                if (pick(3) != 0)
                    continue;
                values[m] = (int)pick(1000);
                members = arena_printf(memory, "%s%s\"%c\":%d", members,
                                       members[0] != '\0' ? " , " : "", 'a' + m, values[m]);
            }
            packet = context_of(arena_printf(memory, ",\"custom\":{%s}", members));
            if (k > 0)
                layers[k - 1] = (struct layer){packet, CARRY_ALL};
        }
        cr_assert_eq(assemble(packet, layers, LINKS_MAX, memory), RC_OK);
        text = packet->context->custom->text;
        cr_assert(json_is_valid(text.data, text.len));
        for (int m = 0; m < 6; m++) {
            const char *member = arena_printf(memory, "\"%c\":", 'a' + m);
            const char *all = arena_copy(memory, text.data, text.len);
            const char *at = strstr(all, member);

            cr_assert_eq(at != NULL, values[m] >= 0);
            cr_assert(at == NULL || strtol(at + 4, NULL, 10) == values[m]);
            cr_assert(at == NULL || strstr(at + 4, member) == NULL);
        }
        arena_reset(memory);
    }
}
