// JSON output: yajl's generator, driven by protobuf descriptors.
#include "broker/packet/json_write.h"

#include "broker/base/timestamp.h"
#include "broker/packet/extra.h"
#include "broker/packet/rules.h"
#include "broker/packet/transcript.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_gen.h>

struct json_writer {
    yajl_gen gen;
    struct buf *out;
    bool known_only;     // as versions without unknown members and transcripts write
    struct arena *plain; // not NULL: entries of transcripts are written as plain ones
};

static void must(yajl_gen_status status)
{
    assert(status == yajl_gen_status_ok);
    (void)status;
}

static void on_output(void *out, const char *text, size_t len)
{
    buf_append(out, text, len);
}

struct json_writer *json_writer_create(struct buf *out)
{
    struct json_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL)
        abort();
    writer->out = out;
    writer->gen = yajl_gen_alloc(NULL);
    if (writer->gen == NULL)
        abort();
    yajl_gen_config(writer->gen, yajl_gen_print_callback, on_output, out);
    return writer;
}

void json_writer_destroy(struct json_writer *writer)
{
    if (writer == NULL)
        return;
    yajl_gen_free(writer->gen);
    free(writer);
}

Text json_writer_finish(struct json_writer *writer, struct arena *arena)
{
    struct buf *out = writer->out;
    Text text = text_copy(arena, out->data, out->len);

    json_writer_destroy(writer);
    buf_fini(out);
    return text;
}

void json_writer_known_only(struct json_writer *writer)
{
    writer->known_only = true;
}

void json_object_open(struct json_writer *writer)
{
    must(yajl_gen_map_open(writer->gen));
}

void json_object_close(struct json_writer *writer)
{
    must(yajl_gen_map_close(writer->gen));
}

void json_array_open(struct json_writer *writer)
{
    must(yajl_gen_array_open(writer->gen));
}

void json_array_close(struct json_writer *writer)
{
    must(yajl_gen_array_close(writer->gen));
}

void json_key(struct json_writer *writer, const char *key)
{
    json_string(writer, key);
}

void json_text(struct json_writer *writer, Text text)
{
    // The generator takes no NULL, which an empty text may be.
    const uint8_t *data = text.data != NULL ? text.data : (const uint8_t *)"";

    must(yajl_gen_string(writer->gen, data, text.len));
}

void json_string(struct json_writer *writer, const char *text)
{
    json_text(writer, text_of(text));
}

void json_integer(struct json_writer *writer, long long value)
{
    must(yajl_gen_integer(writer->gen, value));
}

void json_bool(struct json_writer *writer, bool value)
{
    must(yajl_gen_bool(writer->gen, value));
}

void json_null(struct json_writer *writer)
{
    must(yajl_gen_null(writer->gen));
}

void json_raw(struct json_writer *writer, const void *text, size_t len)
{
    // A number is the one value the generator copies verbatim.
    must(yajl_gen_number(writer->gen, text, len));
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
            parts = *transcript_parts((ProtobufCMessage *)(uintptr_t)message);
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
    if (writer->plain != NULL)
        message = transcript_plain(message, writer->plain);
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

Text json_of_answer(struct arena *arena, const ProtobufCMessage *message, const char *transcript)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    // An ancestor's own part is measured by its hash: it comes as it is stored in any case.
    if (message->descriptor != &hr__own_part__descriptor &&
        (transcript == NULL || strcmp(transcript, TRANSCRIPT_AS_SENT) != 0))
        writer->plain = arena;
    json_message(writer, message);
    return json_writer_finish(writer, arena);
}

Text json_of_string(struct arena *arena, const char *text)
{
    return json_of_text(arena, text_of(text));
}

Text json_of_text(struct arena *arena, Text text)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_text(writer, text);
    return json_writer_finish(writer, arena);
}
