// Query parameters.
#include "broker/packet/query_read.h"

#include "broker/base/timestamp.h"
#include "broker/base/utf8.h"
#include "broker/packet/json_write.h"
#include "broker/packet/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

static struct issue *complain(struct issues *issues, const char *name, const char *value,
                              const char *type, const char *message)
{
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("query"));
    path_push_name(&path, text_of(name));
    issue = issues_add(issues, &path, type, message);
    if (utf8_is_valid(value, strlen(value)))
        issue->input = json_of_string(issues->arena, value);
    return issue;
}

static bool read_bool(const char *value, protobuf_c_boolean *result)
{
    static const char *const yes[] = {"1", "true", "t", "yes", "y", "on"};
    static const char *const no[] = {"0", "false", "f", "no", "n", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *result = strcasecmp(value, yes[i]) == 0;
        if (*result || strcasecmp(value, no[i]) == 0)
            return true;
    }
    return false;
}

static bool read_integer(const char *value, int64_t *result)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0')
        return false;
    *result = number;
    return true;
}

static void read_timestamp(struct issues *issues, const char *name, const char *value,
                           Google__Protobuf__Timestamp **result)
{
    int64_t us;
    const char *error = timestamp_parse(value, strlen(value), &us);
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

static bool read_enum(struct issues *issues, const ProtobufCFieldDescriptor *field,
                      const char *value, int *result)
{
    struct issue *issue;
    const char *choices;

    if (wire_enum_parse(field->descriptor, value, strlen(value), result))
        return true;
    choices = wire_enum_choices(issues->arena, field->descriptor);
    issue = complain(issues, field->name, value, "enum",
                     arena_printf(issues->arena, "Input should be %s", choices));
    issue->ctx = text_of(arena_printf(issues->arena, "{\"expected\":\"%s\"}", choices));
    return false;
}

static void read_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const char *value, struct issues *issues)
{
    void *place = (char *)message + field->offset;
    protobuf_c_boolean *has = (protobuf_c_boolean *)((char *)message + field->quantifier_offset);

    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        *has = *value != '\0' && utf8_is_valid(value, strlen(value));
        if (*has)
            *(Text *)place = text_of(value);
        else if (*value != '\0')
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
        const char *value = value_of(source, descriptor->fields[i].name);
        bool required = (rules_of(descriptor, i)->flags & RULE_REQUIRED) != 0;

        // An empty one that is needed counts as absent.
        if (required && (value == NULL || *value == '\0'))
            (void)complain(issues, descriptor->fields[i].name, "", "missing", "Field required");
        else if (value != NULL)
            read_field(message, &descriptor->fields[i], value, issues);
    }
    return message;
}
