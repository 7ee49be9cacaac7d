// Checks and fallbacks, driven by descriptors and the table of rules.
#include "broker/message/check.h"

#include "broker/base/id.h"
#include "broker/base/utf8.h"
#include "broker/message/extra.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/message/rules.h"

#include <assert.h>
#include <inttypes.h>

struct checker {
    struct arena *arena;
    struct issues *issues; // NULL: only complete
    struct path path;
    bool trusted;
    bool create; // of a packet: some rules hold only then
};

static void walk(struct checker *c, ProtobufCMessage *message);

static void complain(struct checker *c, const char *type, const char *message)
{
    if (c->issues != NULL)
        (void)issues_add(c->issues, &c->path, type, message);
}

static protobuf_c_boolean *presence(ProtobufCMessage *message,
                                    const ProtobufCFieldDescriptor *field)
{
    return (protobuf_c_boolean *)((char *)message + field->quantifier_offset);
}

static void *place(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

static void set_fallback(struct checker *c, ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field, const char *fallback)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage **slot = place(message, field);

        if (field->descriptor == &hr__json__descriptor)
            *slot = &wire_json(c->arena, text_of(fallback))->base;
        else
            *slot = wire_new(c->arena, field->descriptor);
        return;
    }
    case PROTOBUF_C_TYPE_ENUM:
        *presence(message, field) =
            wire_enum_parse(field->descriptor, fallback, strlen(fallback), place(message, field));
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *presence(message, field) = true;
        *(protobuf_c_boolean *)place(message, field) = strcmp(fallback, "true") == 0;
        return;
    default:
        assert(false && "no fallback for this type");
    }
}

static bool is_absent(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void **)place(message, field) == NULL;
    // proto3 writers of other languages send the zero value of an enum as nothing, or as zero.
    return !*presence(message, field) ||
           (field->type == PROTOBUF_C_TYPE_ENUM && *(int *)place(message, field) == 0);
}

// Characters, not bytes: what follows the first byte of one is 10xxxxxx.
static int64_t characters(Text text)
{
    int64_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

static void check_length(struct checker *c, Text text, const struct rule *rule)
{
    int64_t count = characters(text);
    bool few = count < rule->min;
    int64_t bound = few ? rule->min : rule->max;
    struct issue *issue;

    if (count >= rule->min && count <= rule->max)
        return;
    issue = issues_add(c->issues, &c->path, few ? "string_too_short" : "string_too_long",
                       arena_printf(c->arena, "String should have at %s %" PRId64 " character%s",
                                    few ? "least" : "most", bound, bound == 1 ? "" : "s"));
    if ((rule->flags & RULE_SECRET) == 0)
        issue->input = json_of_text(c->arena, text);
    issue->ctx =
        text_of(arena_printf(c->arena, "{\"%s_length\":%" PRId64 "}", few ? "min" : "max", bound));
}

static void absent(struct checker *c, ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field, const struct rule *rule)
{
    if (rule->fallback != NULL) {
        set_fallback(c, message, field, rule->fallback);
        return;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_ENUM)
        *presence(message, field) = false;
    if ((rule->flags & RULE_REQUIRED) == 0 || c->trusted)
        return;
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        *presence(message, field) = true;
        *(Text *)place(message, field) = text_of("");
        if (c->issues != NULL && (rule->flags & RULE_UUID) == 0)
            check_length(c, text_of(""), rule);
        return;
    }
    complain(c, "missing", "Field required");
}

static void check_text(struct checker *c, Text *text, const struct rule *rule)
{
    unsigned flags = rule->flags;
    struct uuid uuid;
    const char *error;

    if (c->issues == NULL)
        return;
    if (!c->trusted && !utf8_is_valid(text->data, text->len)) {
        complain(c, "string_unicode",
                 "Input should be a valid string, unable to parse raw data as "
                 "a unicode string");
        return;
    }
    if ((flags & RULE_UUID) == 0) {
        check_length(c, *text, rule);
        return;
    }
    error = uuid_parse((const char *)text->data, text->len, &uuid);
    if (error != NULL) {
        struct issue *issue =
            issues_add(c->issues, &c->path, "uuid_parsing",
                       arena_printf(c->arena, "Input should be a valid UUID, %s", error));
        issue->input = json_of_text(c->arena, *text);
        issue->ctx = issues_reason(c->arena, error);
        return;
    }
    text->len = UUID_TEXT_BYTES - 1;
    text->data = arena_alloc(c->arena, UUID_TEXT_BYTES);
    uuid_format((char *)text->data, &uuid);
}

static bool starts_with(Text json, const char *set)
{
    size_t at = 0;

    while (at < json.len && strchr(" \t\r\n", json.data[at]) != NULL && json.data[at] != '\0')
        at++;
    return at < json.len && json.data[at] != '\0' && strchr(set, json.data[at]) != NULL;
}

static void check_json(struct checker *c, const Hr__Json *json, unsigned flags)
{
    if (c->issues == NULL || c->trusted)
        return;
    // The path has a step for every level, and one for the body.
    if (!json_is_valid_within(json->text.data, json->text.len, c->path.depth - 1))
        complain(c, "json_invalid", "Input should be one JSON value in UTF-8");
    else if ((flags & RULE_PARTS) != 0 && !starts_with(json->text, "[n"))
        complain(c, "parts_type", "Input should be a list or null");
    else if ((flags & RULE_OBJECT) != 0 && !starts_with(json->text, "{"))
        complain(c, "dict_type", "Input should be a valid dictionary");
    else if ((flags & RULE_COMPOUND) != 0 && !starts_with(json->text, "\"{["))
        complain(c, "compound_type", "Input should be a string, an object or a list");
}

// What a client sends as a field that we do not know goes. It could be what a later version
// lets only the server write; and libprotobuf-c reads a field number 0, which is none, and packs it
// in a way that nobody can read again.
static void drop_unknown(const struct checker *c, ProtobufCMessage *message)
{
    if (c->issues != NULL && !c->trusted)
        message->n_unknown_fields = 0;
}

static void check_extra(struct checker *c, ProtobufCMessage *message)
{
    Hr__Json **extra = extra_slot(message);
    const char *fault;

    if (c->issues == NULL || c->trusted)
        return;
    drop_unknown(c, &(*extra)->base);
    // Its braces are those of the message: the path has a step for it, and one for the body.
    if (!json_is_valid_within((*extra)->text.data, (*extra)->text.len, c->path.depth - 2))
        fault = "Input should be a JSON object of unknown members";
    else
        fault = extra_clean(extra, message->descriptor, c->arena);
    if (fault != NULL)
        complain(c, "extra_type", fault);
}

// Two contents would be one too many for whoever reads it as JSON.
static void check_entry(struct checker *c, const Hr__ConversationEntry *entry)
{
    if (entry->content_json == NULL || entry->content.len == 0)
        return;
    path_push_name(&c->path, text_of("content_json"));
    complain(c, "value_error", "Value error, content must be empty where content_json is set");
    path_pop(&c->path);
}

static void check_integer(struct checker *c, int64_t value, const struct rule *rule)
{
    struct issue *issue;
    bool low = value < rule->min;
    int64_t bound = low ? rule->min : rule->max;

    if (c->issues == NULL || (value >= rule->min && value <= rule->max))
        return;
    issue = issues_add(c->issues, &c->path, low ? "greater_than_equal" : "less_than_equal",
                       arena_printf(c->arena, "Input should be %s than or equal to %" PRId64,
                                    low ? "greater" : "less", bound));
    issue->input = text_of(arena_printf(c->arena, "%" PRId64, value));
    issue->ctx = text_of(arena_printf(c->arena, "{\"%s\":%" PRId64 "}", low ? "ge" : "le", bound));
}

static void check_value(struct checker *c, const ProtobufCFieldDescriptor *field, void *slot,
                        const struct rule *rule)
{
    char name[ENUM_TEXT_BYTES];

    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        check_text(c, slot, rule);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        drop_unknown(c, *(ProtobufCMessage **)slot);
        if (field->descriptor == &hr__json__descriptor)
            check_json(c, *(Hr__Json **)slot, rule->flags);
        else if (field->descriptor != &google__protobuf__timestamp__descriptor)
            walk(c, *(ProtobufCMessage **)slot);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        if (c->issues != NULL && wire_enum_text(name, field->descriptor, *(int *)slot) == NULL)
            complain(c, "enum",
                     arena_printf(c->arena, "Input should be %s",
                                  wire_enum_choices(c->arena, field->descriptor)));
        return;
    case PROTOBUF_C_TYPE_INT64:
        check_integer(c, *(int64_t *)slot, rule);
        return;
    default:
        return; // nothing can be wrong with it
    }
}

static void check_count(struct checker *c, size_t count, const struct rule *rule)
{
    bool few = (int64_t)count < rule->min;

    if (c->issues != NULL && ((int64_t)count < rule->min || (int64_t)count > rule->max))
        issues_add_count(c->issues, &c->path, few, few ? rule->min : rule->max, count);
}

static void check_list(struct checker *c, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, const struct rule *rule)
{
    size_t count = *(size_t *)((char *)message + field->quantifier_offset);
    char *items = *(char **)place(message, field);
    size_t size = field->type == PROTOBUF_C_TYPE_MESSAGE ? sizeof(void *) : sizeof(Text);

    struct rule of_item = *rule; // its bounds are those of the list

    of_item.min = INT64_MIN;
    of_item.max = INT64_MAX;
    check_count(c, count, rule);
    if (c->issues != NULL && (int64_t)count > rule->max)
        count = (size_t)rule->max; // it is refused; what is beyond need not be looked at
    for (size_t i = 0; i < count; i++) {
        path_push_index(&c->path, i);
        check_value(c, field, items + i * size, &of_item);
        path_pop(&c->path);
    }
}

static void drop(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        *(size_t *)((char *)message + field->quantifier_offset) = 0;
    else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        *(void **)place(message, field) = NULL;
    else
        *presence(message, field) = false;
}

static void check_consistency(struct checker *c, const ProtobufCMessage *message)
{
    const char *fault = message_fault(message, c->create);
    struct issue *issue;

    if (fault == NULL)
        return;
    issue = issues_add(c->issues, &c->path, "value_error",
                       arena_printf(c->arena, "Value error, %s", fault));
    issue->ctx = text_of("{\"error\":{}}");
}

static void walk(struct checker *c, ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool is_list = wire_is_list(descriptor);

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const struct rule *rule = rules_of(descriptor, i);

        if (!is_list) // a bare array in JSON has no member name
            path_push_name(&c->path, text_of(field->name));
        if (c->issues != NULL && (rule->flags & RULE_SERVER) != 0)
            drop(message, field);
        else if (field->label == PROTOBUF_C_LABEL_REPEATED)
            check_list(c, message, field, rule);
        else if (is_absent(message, field))
            absent(c, message, field, rule);
        else if ((rule->flags & RULE_EXTRA) != 0)
            check_extra(c, message);
        else
            check_value(c, field, place(message, field), rule);
        if (!is_list)
            path_pop(&c->path);
    }
    if (c->issues != NULL)
        check_consistency(c, message);
    if (c->issues != NULL && descriptor == &hr__conversation_entry__descriptor)
        check_entry(c, (const Hr__ConversationEntry *)message);
}

void message_check(ProtobufCMessage *message, const char *where, bool trusted,
                   struct issues *issues)
{
    struct checker checker = {.arena = issues->arena,
                              .issues = issues,
                              .trusted = trusted,
                              .create = message->descriptor == &hr__create_packet__descriptor};

    path_push_name(&checker.path, text_of(where));
    drop_unknown(&checker, message);
    walk(&checker, message);
}

void message_complete(ProtobufCMessage *message, struct arena *arena)
{
    struct checker checker = {.arena = arena};

    path_push_name(&checker.path, text_of(""));
    walk(&checker, message);
}
