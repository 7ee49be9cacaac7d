// Query parameters.
#include "broker/message/query_read.h"

#include "broker/base/timestamp.h"
#include "broker/base/utf8.h"
#include "broker/message/json_write.h"
#include "broker/message/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

static struct issue *complain(struct issues *issues, const char *name, Text value, const char *type,
                              const char *message)
{
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("query"));
    path_push_name(&path, text_of(name));
    issue = issues_add(issues, &path, type, message);
    if (utf8_is_valid((const char *)value.data, value.len))
        issue->input = json_of_text(issues->arena, value);
    return issue;
}

static bool is_word(Text value, const char *word)
{
    return value.len == strlen(word) && strncasecmp((const char *)value.data, word, value.len) == 0;
}

static bool read_bool(Text value, protobuf_c_boolean *result)
{
    static const char *const yes[] = {"1", "true", "t", "yes", "y", "on"};
    static const char *const no[] = {"0", "false", "f", "no", "n", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *result = is_word(value, yes[i]);
        if (*result || is_word(value, no[i]))
            return true;
    }
    return false;
}

static bool read_integer(Text value, int64_t *result)
{
    const char *text = (const char *)value.data;
    char *end;
    long long number;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || end != text + value.len)
        return false;
    *result = number;
    return true;
}

static void read_timestamp(struct issues *issues, const char *name, Text value,
                           Google__Protobuf__Timestamp **result)
{
    int64_t us;
    const char *error = timestamp_parse((const char *)value.data, value.len, &us);
    struct issue *issue;

    if (error == NULL) {
        *result = wire_timestamp(issues->arena, us);
        return;
    }
    issue = complain(
        issues, name, value, "datetime_from_date_parsing",
        arena_printf(issues->arena, "Input should be a valid datetime or date, %s", error));
    issue->ctx = issues_reason(issues->arena, error);
}

static bool read_enum(struct issues *issues, const ProtobufCFieldDescriptor *field, Text value,
                      int *result)
{
    struct issue *issue;
    const char *choices;

    if (wire_enum_parse(field->descriptor, (const char *)value.data, value.len, result))
        return true;
    choices = wire_enum_choices(issues->arena, field->descriptor);
    issue = complain(issues, field->name, value, "enum",
                     arena_printf(issues->arena, "Input should be %s", choices));
    issue->ctx = text_of(arena_printf(issues->arena, "{\"expected\":\"%s\"}", choices));
    return false;
}

static void read_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, Text value,
                       struct issues *issues)
{
    void *place = (char *)message + field->offset;
    protobuf_c_boolean *has = (protobuf_c_boolean *)((char *)message + field->quantifier_offset);

    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        *has = value.len > 0 && utf8_is_valid((const char *)value.data, value.len);
        if (*has)
            *(Text *)place = value;
        else if (value.len > 0)
            (void)complain(
                issues, field->name, value, "string_unicode",
                "Input should be a valid string, unable to parse raw data as a unicode string");
        return;
    case PROTOBUF_C_TYPE_INT64:
        *has = read_integer(value, place);
        if (!*has)
            (void)complain(issues, field->name, value, "int_parsing",
                           "Input should be a valid integer, unable to parse string as an integer");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        *has = read_enum(issues, field, value, place);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *has = read_bool(value, place);
        if (!*has)
            (void)complain(issues, field->name, value, "bool_parsing",
                           "Input should be a valid boolean, unable to interpret input");
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        assert(field->descriptor == &google__protobuf__timestamp__descriptor);
        read_timestamp(issues, field->name, value, place);
        return;
    default:
        assert(false && "no such parameter in the contract");
    }
}

ProtobufCMessage *query_read(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                             query_value_fn value_of, const void *source, struct issues *issues)
{
    ProtobufCMessage *message = wire_new(arena, descriptor);

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        Text value = text_of("");
        bool there = value_of(source, descriptor->fields[i].name, &value);
        bool required = (rules_of(descriptor, i)->flags & RULE_REQUIRED) != 0;

        // An empty one that is needed counts as absent.
        if (required && value.len == 0)
            (void)complain(issues, descriptor->fields[i].name, value, "missing", "Field required");
        else if (there)
            read_field(message, &descriptor->fields[i], value, issues);
    }
    return message;
}
