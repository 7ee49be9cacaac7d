// Unknown members: which names are unknown, and objects that consist of nothing else.
#include "broker/message/extra.h"

#include "broker/message/rules.h"

#include <assert.h>

#define NAME_BYTES 64 // longer than any member of the contract
#define ROOM_FIRST 4
#define FEW 16 // so many are compared one by one; a set costs more

const ProtobufCFieldDescriptor *extra_field(const ProtobufCMessageDescriptor *descriptor)
{
    const ProtobufCFieldDescriptor *last;

    if (descriptor->n_fields == 0)
        return NULL;
    last = &descriptor->fields[descriptor->n_fields - 1]; // they are in the order of their numbers
    return last->id == EXTRA_FIELD ? last : NULL;
}

Hr__Json **extra_slot(ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = extra_field(message->descriptor);

    assert(field != NULL);
    return (Hr__Json **)((char *)message + field->offset);
}

const ProtobufCFieldDescriptor *extra_known(const ProtobufCMessageDescriptor *descriptor, Text name)
{
    const ProtobufCFieldDescriptor *field;
    char text[NAME_BYTES];

    if (name.len == 0 || name.len >= sizeof text || memchr(name.data, '\0', name.len) != NULL)
        return NULL;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    field = protobuf_c_message_descriptor_get_field_by_name(descriptor, text);
    if (field == NULL ||
        (rules_of(descriptor, (unsigned)(field - descriptor->fields))->flags & RULE_HIDDEN) != 0)
        return NULL;
    return field;
}

// What the rail makes of a message: its unknown members end there.
static const ProtobufCMessageDescriptor *becomes(const ProtobufCMessageDescriptor *descriptor)
{
    if (descriptor == &hr__create_packet__descriptor ||
        descriptor == &hr__chain_packet__descriptor || descriptor == &hr__update_packet__descriptor)
        return &hr__packet__descriptor;
    if (descriptor == &hr__actions_update__descriptor)
        return &hr__actions__descriptor;
    return descriptor;
}

bool extra_is_reserved(const ProtobufCMessageDescriptor *descriptor, Text name)
{
    const ProtobufCMessageDescriptor *end = becomes(descriptor);

    if (extra_known(descriptor, name) != NULL || extra_known(end, name) != NULL)
        return true;
    // What only a create takes, an update ignores as it always did.
    return descriptor == &hr__update_packet__descriptor &&
           extra_known(&hr__create_packet__descriptor, name) != NULL;
}

// --- adding --------------------------------------------------------------------------------------

static bool has(struct extra *extra, Text name)
{
    size_t count = extra->members.count;

    if (count > FEW)
        return text_set_has(&extra->seen, name);
    for (size_t i = 0; i < count; i++) {
        if (text_equal(extra->members.items[i].key, name))
            return true;
    }
    return false;
}

static void remember(struct extra *extra, Text name)
{
    if (extra->members.count < FEW)
        return;
    extra->seen.arena = extra->arena;
    for (size_t i = 0; extra->members.count == FEW && i < FEW; i++)
        text_set_add(&extra->seen, extra->members.items[i].key);
    text_set_add(&extra->seen, name);
}

static void make_room(struct extra *extra)
{
    struct members *members = &extra->members;
    struct member *items;

    if (members->count < extra->room)
        return;
    extra->room = extra->room > 0 ? extra->room * 2 : ROOM_FIRST;
    items = arena_calloc(extra->arena, extra->room, sizeof *items);
    if (members->count > 0)
        memcpy(items, members->items, members->count * sizeof *items);
    members->items = items;
}

struct member *extra_add(struct extra *extra, Text name)
{
    struct member *member;

    if (has(extra, name))
        return NULL;
    if (extra->members.count == EXTRA_MEMBERS_MAX) {
        extra->too_many = true;
        return NULL;
    }
    make_room(extra);
    remember(extra, name);
    member = &extra->members.items[extra->members.count++];
    member->key = name;
    return member;
}

Hr__Json *extra_json(const struct extra *extra)
{
    if (extra->members.count == 0)
        return NULL;
    return wire_json(extra->arena, members_join(&extra->members, extra->arena));
}

// --- whole objects -------------------------------------------------------------------------------

const char *extra_clean(Hr__Json **extra, const ProtobufCMessageDescriptor *descriptor,
                        struct arena *arena)
{
    struct extra clean = {.arena = arena};
    struct members sent;

    if (!members_read(&sent, (*extra)->text, arena))
        return "Input should be a JSON object of unknown members";
    for (size_t i = 0; i < sent.count; i++) {
        struct member *member;

        if (extra_is_reserved(descriptor, sent.items[i].key))
            continue;
        member = extra_add(&clean, sent.items[i].key);
        if (clean.too_many)
            return "Object should have at most 1000 unknown members";
        if (member == NULL)
            return "Member appears more than once";
        member->raw = sent.items[i].raw;
    }
    *extra = extra_json(&clean); // without blanks around it: the writer relies on it
    return NULL;
}

// Of "key": value, as it stands.
static bool is_null(Text raw)
{
    size_t len = raw.len;

    // Nothing but the word null ends so: a text would end in a quote.
    return len >= 4 && memcmp(raw.data + len - 4, "null", 4) == 0;
}

static bool read_object(struct members *members, const Hr__Json *json, struct arena *arena)
{
    *members = (struct members){0};
    return json == NULL || members_read(members, json->text, arena);
}

enum rc extra_merge(Hr__Json **stored, const Hr__Json *sent, struct arena *arena)
{
    struct text_set places = {.arena = arena};
    struct members old;
    struct members new;
    struct members merged = {0};

    if (sent == NULL)
        return RC_OK;
    if (!read_object(&old, *stored, arena) || !read_object(&new, sent, arena))
        return RC_CORRUPT;
    merged.items = arena_calloc(arena, old.count + new.count, sizeof *merged.items);
    for (size_t i = 0; i < new.count; i++)
        text_set_put(&places, new.items[i].key, i);
    // One that is stored keeps its place; those that are new come behind.
    for (size_t i = 0; i < old.count; i++) {
        size_t at;
        bool is_sent = text_set_get(&places, old.items[i].key, &at);
        struct member *member = is_sent ? &new.items[at] : &old.items[i];

        if (!is_sent || !is_null(member->raw))
            merged.items[merged.count++] = *member;
        if (is_sent)
            member->raw.len = 0; // done
    }
    for (size_t i = 0; i < new.count; i++) {
        if (new.items[i].raw.len > 0 && !is_null(new.items[i].raw))
            merged.items[merged.count++] = new.items[i];
    }
    if (merged.count > EXTRA_MEMBERS_MAX && merged.count > old.count)
        return RC_TOO_LARGE;
    *stored = merged.count > 0 ? wire_json(arena, members_join(&merged, arena)) : NULL;
    return RC_OK;
}
