// protobuf-c with arenas, and generic access by descriptor.
#include "broker/message/wire.h"

#include "broker/base/buf.h"
#include "broker/base/timestamp.h"

#include <assert.h>
#include <ctype.h>

#define UNSPECIFIED "UNSPECIFIED"

static void *allocate(void *arena, size_t bytes)
{
    return arena_alloc(arena, bytes);
}

static void release(void *arena, void *data)
{
    (void)arena; // goes with the arena
    (void)data;
}

void *wire_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

    protobuf_c_message_init(descriptor, message);
    return message;
}

enum rc wire_unpack(ProtobufCMessage **message, struct arena *arena,
                    const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    ProtobufCMessage *result = protobuf_c_message_unpack(descriptor, &allocator, len, data);

    if (result == NULL)
        return RC_INVALID;
    *message = result;
    return RC_OK;
}

// What decoding may take: lists as long as the rules allow fit, even of the smallest entries.
#define DECODE_BYTES_FREE ((size_t)4 * 1024 * 1024)
#define DECODE_BYTES_PER_BYTE 8

struct budget {
    struct arena *arena;
    size_t left;
    bool exceeded;
};

static void *allocate_within(void *ctx, size_t bytes)
{
    struct budget *budget = ctx;

    if (bytes > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= bytes;
    return arena_alloc(budget->arena, bytes);
}

enum rc wire_unpack_request(ProtobufCMessage **message, struct arena *arena,
                            const ProtobufCMessageDescriptor *descriptor, const void *data,
                            size_t len)
{
    struct budget budget = {arena, DECODE_BYTES_FREE + DECODE_BYTES_PER_BYTE * len, false};
    ProtobufCAllocator allocator = {allocate_within, release, &budget};
    ProtobufCMessage *result = protobuf_c_message_unpack(descriptor, &allocator, len, data);

    if (budget.exceeded)
        return RC_TOO_LARGE;
    if (result == NULL)
        return RC_INVALID;
    *message = result;
    return RC_OK;
}

Text wire_pack(struct arena *arena, const ProtobufCMessage *message)
{
    Text bytes;

    bytes.len = protobuf_c_message_get_packed_size(message);
    bytes.data = arena_alloc(arena, bytes.len);
    (void)protobuf_c_message_pack(message, bytes.data);
    return bytes;
}

Google__Protobuf__Timestamp *wire_timestamp(struct arena *arena, int64_t us)
{
    Google__Protobuf__Timestamp *result = wire_new(arena, &google__protobuf__timestamp__descriptor);
    int64_t micros = us % 1000000;

    if (micros < 0)
        micros += 1000000;
    result->seconds = (us - micros) / 1000000;
    result->nanos = (int32_t)(micros * 1000);
    return result;
}

int64_t wire_timestamp_us(const Google__Protobuf__Timestamp *timestamp)
{
    int64_t seconds;
    int32_t nanos;

    if (timestamp == NULL)
        return 0;
    seconds = timestamp->seconds;
    nanos = timestamp->nanos;
    if (seconds < TIMESTAMP_MIN_US / 1000000)
        return TIMESTAMP_MIN_US;
    if (seconds > TIMESTAMP_MAX_US / 1000000)
        return TIMESTAMP_MAX_US;
    if (nanos < 0)
        nanos = 0;
    if (nanos > 999999999)
        nanos = 999999999;
    return seconds * 1000000 + nanos / 1000;
}

Hr__Json *wire_json(struct arena *arena, Text text)
{
    Hr__Json *json = wire_new(arena, &hr__json__descriptor);

    json->has_text = true;
    json->text = text;
    return json;
}

// What all names of an enum start with, up to and including the underscore.
static size_t prefix_length(const ProtobufCEnumDescriptor *descriptor)
{
    size_t len = strlen(descriptor->values[0].name);

    assert(descriptor->values[0].value == 0 && len >= sizeof UNSPECIFIED);
    return len - (sizeof UNSPECIFIED - 1);
}

const char *wire_enum_text(char buffer[ENUM_TEXT_BYTES], const ProtobufCEnumDescriptor *descriptor,
                           int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    const char *name;
    size_t len;

    if (found == NULL)
        return NULL;
    name = found->name + prefix_length(descriptor);
    len = strlen(name);
    assert(len < ENUM_TEXT_BYTES);
    for (size_t i = 0; i <= len; i++)
        buffer[i] = (char)tolower((unsigned char)name[i]);
    return buffer;
}

bool wire_enum_parse(const ProtobufCEnumDescriptor *descriptor, const char *text, size_t len,
                     int *value)
{
    char name[ENUM_TEXT_BYTES];

    for (unsigned i = 1; i < descriptor->n_values; i++) {
        int candidate = descriptor->values[i].value;

        if (wire_enum_text(name, descriptor, candidate) != NULL && strlen(name) == len &&
            memcmp(name, text, len) == 0) {
            *value = candidate;
            return true;
        }
    }
    return false;
}

const char *wire_enum_choices(struct arena *arena, const ProtobufCEnumDescriptor *descriptor)
{
    char name[ENUM_TEXT_BYTES];
    const char *result = "";

    for (unsigned i = 1; i < descriptor->n_values; i++) {
        const char *glue = i == 1 ? "" : i + 1 < descriptor->n_values ? ", " : " or ";
        const char *text = wire_enum_text(name, descriptor, descriptor->values[i].value);

        result = arena_printf(arena, "%s%s'%s'", result, glue, text != NULL ? text : "");
    }
    return result;
}

bool wire_is_list(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 1 && strcmp(descriptor->fields[0].name, "items") == 0;
}
