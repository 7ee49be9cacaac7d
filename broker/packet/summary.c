// Two levels of protobuf, field by field: a field is copied whole or left out whole.
#include "broker/packet/summary.h"

#include <stdbool.h>

// Numbers out of record.proto and packet.proto.
#define RECORD_PACKET 2
#define RECORD_RECENT 3
#define PACKET_CONTEXT 5
#define PACKET_DEPENDENCIES 8
#define PACKET_LINEAGE 14
#define PACKET_EXTRA 99

#define LEN_PREFIX_MAX 6 // a tag of one byte and a length of five

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

struct field {
    uint64_t number;
    const uint8_t *start; // of the tag
    size_t len;           // with the tag
    Text content;         // of a length-delimited one
};

static bool read_varint(struct reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;

        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool skip(struct reader *reader, uint64_t len)
{
    if (len > (uint64_t)(reader->end - reader->at))
        return false;
    reader->at += len;
    return true;
}

static bool read_field(struct reader *reader, struct field *field)
{
    uint64_t tag;
    uint64_t value;
    bool sound;

    *field = (struct field){.start = reader->at};
    if (!read_varint(reader, &tag))
        return false;
    field->number = tag >> 3;
    switch (tag & 7) {
    case 0:
        sound = read_varint(reader, &value);
        break;
    case 1:
        sound = skip(reader, 8);
        break;
    case 2:
        sound = read_varint(reader, &value);
        field->content.data = (uint8_t *)(uintptr_t)reader->at;
        field->content.len = (size_t)value;
        sound = sound && skip(reader, value);
        break;
    case 5:
        sound = skip(reader, 4);
        break;
    default:
        sound = false;
    }
    field->len = (size_t)(reader->at - field->start);
    return sound;
}

static size_t copy_field(uint8_t *out, const struct field *field)
{
    memcpy(out, field->start, field->len);
    return field->len;
}

static size_t put_varint(uint8_t *out, size_t value)
{
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        out[len++] = (uint8_t)(value | 0x80);
    out[len++] = (uint8_t)value;
    return len;
}

static bool is_carried(uint64_t number)
{
    return (number >= PACKET_CONTEXT && number <= PACKET_DEPENDENCIES) ||
           number == PACKET_LINEAGE || number == PACKET_EXTRA;
}

// Returns the length, or SIZE_MAX: the bytes are no packet.
static size_t copy_packet(uint8_t *out, Text packet)
{
    struct reader reader = {packet.data, packet.data + packet.len};
    struct field field;
    size_t len = 0;

    while (reader.at < reader.end) {
        if (!read_field(&reader, &field))
            return SIZE_MAX;
        if (!is_carried(field.number))
            len += copy_field(out + len, &field);
    }
    return len;
}

Text head_of(struct arena *arena, const void *data, size_t len)
{
    Text whole = {len, (uint8_t *)(uintptr_t)data};
    struct reader reader = {whole.data, whole.data + len};
    uint8_t *out = (uint8_t *)arena_alloc(arena, len + LEN_PREFIX_MAX);
    uint8_t *packet = (uint8_t *)arena_alloc(arena, len + 1);
    struct field field;
    size_t used = 0;

    while (reader.at < reader.end) {
        size_t packet_len;

        if (!read_field(&reader, &field))
            return whole;
        if (field.number == RECORD_RECENT)
            continue;
        if (field.number != RECORD_PACKET || field.content.data == NULL) {
            used += copy_field(out + used, &field);
            continue;
        }
        packet_len = copy_packet(packet, field.content);
        if (packet_len == SIZE_MAX)
            return whole;
        out[used++] = RECORD_PACKET << 3 | 2;
        used += put_varint(out + used, packet_len);
        memcpy(out + used, packet, packet_len);
        used += packet_len;
    }
    return (Text){used, out};
}
