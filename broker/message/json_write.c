// Messages as JSON, driven by their descriptors.
#include "broker/message/json_write.h"

#include "broker/base/timestamp.h"
#include "broker/message/extra.h"
#include "broker/message/rules.h"

#include <inttypes.h>
#include <stdio.h>

void json_writer_known_only(struct json_writer *writer)
{
    writer->known_only = true;
}

void json_writer_view(struct json_writer *writer,
                      const ProtobufCMessage *(*view)(const ProtobufCMessage *, struct arena *),
                      struct arena *arena)
{
    writer->view = view;
    writer->view_arena = arena;
}

static void put_timestamp(struct json_writer *writer, const Google__Protobuf__Timestamp *timestamp)
{
    char text[TIMESTAMP_TEXT_BYTES];

    timestamp_format(text, wire_timestamp_us(timestamp));
    json_string(writer, text);
}

static void put_list(struct json_writer *writer, const ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field);

static void put_submessage(struct json_writer *writer, const ProtobufCMessage *message)
{
    if (message->descriptor == &hr__json__descriptor) {
        const Hr__Json *json = (const Hr__Json *)message;

        if (json->text.len == 0)
            json_null(writer);
        else
            json_raw(writer, json->text.data, json->text.len);
    } else if (message->descriptor == &google__protobuf__timestamp__descriptor) {
        put_timestamp(writer, (const Google__Protobuf__Timestamp *)message);
    } else {
        json_message(writer, message);
    }
}

static void put_enum(struct json_writer *writer, const ProtobufCEnumDescriptor *descriptor,
                     int value)
{
    char name[ENUM_TEXT_BYTES];

    // A value that a newer writer knows and this reader does not.
    if (wire_enum_text(name, descriptor, value) == NULL ||
        (writer->known_only && descriptor == &hr__role__descriptor && value > HR__ROLE__ROLE_HUMAN))
        (void)snprintf(name, sizeof name, "unknown_%d", value);
    json_string(writer, name);
}

static void put_value(struct json_writer *writer, const ProtobufCFieldDescriptor *field,
                      const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        json_text(writer, *(const Text *)value);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_submessage(writer, *(ProtobufCMessage *const *)value);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(writer, field->descriptor, *(const int *)value);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(writer, *(const protobuf_c_boolean *)value);
        return;
    case PROTOBUF_C_TYPE_INT64:
        json_integer(writer, *(const int64_t *)value);
        return;
    case PROTOBUF_C_TYPE_UINT64: {
        char text[24];
        int len = snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)value);

        json_raw(writer, text, (size_t)len);
        return;
    }
    case PROTOBUF_C_TYPE_UINT32:
        json_integer(writer, *(const uint32_t *)value);
        return;
    default:
        assert(false && "a field type the contract does not use");
    }
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    assert(field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE);
    return field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(Text) : sizeof(void *);
}

static void put_list(struct json_writer *writer, const ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field)
{
    size_t count = *(const size_t *)((const char *)message + field->quantifier_offset);
    const char *items = *(char *const *)((const char *)message + field->offset);

    json_array_open(writer);
    for (size_t i = 0; i < count; i++)
        put_value(writer, field, items + i * element_size(field));
    json_array_close(writer);
}

// An empty list of a quiet field counts as absent: nobody can tell them apart.
static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       bool quiet)
{
    const char *base = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return !quiet || *(const size_t *)(base + field->quantifier_offset) > 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)(base + field->offset) != NULL;
    return *(const protobuf_c_boolean *)(base + field->quantifier_offset) != 0;
}

// The unknown members, behind the others. The generator has no call for a piece of an object; it
// has written what came before, and writes nothing but the closing brace behind this.
static void put_extra(struct json_writer *writer, const Hr__Json *extra, bool is_first)
{
    Text text = extra->text;

    if (text.len <= 2)
        return;
    if (!is_first)
        buf_append(writer->out, ",", 1);
    buf_append(writer->out, text.data + 1, text.len - 2);
}

static void put_fields(struct json_writer *writer, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool is_first = true;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        unsigned flags = rules_of(descriptor, i)->flags;
        bool quiet = (flags & RULE_QUIET) != 0;
        bool present = is_present(message, field, quiet);
        const Hr__Json *parts = NULL;

        if ((!present && quiet) || (flags & RULE_PARTS) != 0)
            continue;
        if ((flags & RULE_EXTRA) != 0) {
            if (writer->known_only)
                continue;
            put_extra(writer, *(Hr__Json *const *)((const char *)message + field->offset),
                      is_first);
            continue;
        }
        is_first = false;
        if ((flags & RULE_OR_PARTS) != 0 && !writer->known_only)
            parts = ((const Hr__ConversationEntry *)message)->content_json;
        json_key(writer, field->name);
        if (parts != NULL)
            put_submessage(writer, &parts->base);
        else if (!present)
            json_null(writer);
        else if (field->label == PROTOBUF_C_LABEL_REPEATED)
            put_list(writer, message, field);
        else
            put_value(writer, field, (const char *)message + field->offset);
    }
}

void json_message(struct json_writer *writer, const ProtobufCMessage *message)
{
    if (wire_is_list(message->descriptor)) {
        put_list(writer, message, &message->descriptor->fields[0]);
        return;
    }
    if (writer->view != NULL)
        message = writer->view(message, writer->view_arena);
    json_object_open(writer);
    put_fields(writer, message);
    json_object_close(writer);
}

Text json_of_message(struct arena *arena, const ProtobufCMessage *message)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_message(writer, message);
    return json_writer_finish(writer, arena);
}
