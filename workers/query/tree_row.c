// A packed message is a row of fields, each with its length: the beginning of one is a message too,
// when it is cut between two fields.
#include "workers/query/tree_row.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,
};

struct field {
    uint64_t number;
    const uint8_t *data; // of its value
    size_t len;          // likewise, as far as it is there
    bool is_whole;
    const uint8_t *end; // where the next field begins, if it is whole
};

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;

        *value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

// False: the field's head is cut, or it is none of ours.
static bool read_field(struct field *field, const uint8_t *at, const uint8_t *end)
{
    uint64_t tag;
    uint64_t len = 0;

    if (!read_varint(&at, end, &tag))
        return false;
    field->number = tag >> 3;
    field->data = at;
    switch (tag & 7) {
    case WIRE_VARINT:
        if (!read_varint(&at, end, &len))
            return false;
        len = (uint64_t)(at - field->data);
        break;
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(&at, end, &len))
            return false;
        field->data = at;
        break;
    default:
        return false;
    }
    field->is_whole = len <= (uint64_t)(end - field->data);
    field->len = field->is_whole ? (size_t)len : (size_t)(end - field->data);
    field->end = field->data + field->len;
    return true;
}

// How much of a message is whole fields.
static size_t whole_len(const uint8_t *data, size_t len)
{
    const uint8_t *at = data;
    struct field field;

    while (at < data + len && read_field(&field, at, data + len) && field.is_whole)
        at = field.end;
    return (size_t)(at - data);
}

Hr__Metadata *tree_row_metadata(struct arena *arena, const void *data, size_t len)
{
    const ProtobufCFieldDescriptor *wanted =
        protobuf_c_message_descriptor_get_field_by_name(&hr__packet__descriptor, "metadata");
    const uint8_t *at = data;
    const uint8_t *end = at + len;
    ProtobufCMessage *metadata;
    struct field field;

    while (at < end && read_field(&field, at, end)) {
        if (field.number == wanted->id) {
            if (wire_unpack(&metadata, arena, &hr__metadata__descriptor, field.data,
                            whole_len(field.data, field.len)) != RC_OK)
                return NULL;
            return (Hr__Metadata *)metadata;
        }
        if (!field.is_whole)
            return NULL;
        at = field.end;
    }
    return NULL;
}
