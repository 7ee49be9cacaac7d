// A text that a spreadsheet would compute gets a mark in front of it.
#include "gateway/csv.h"

#include "broker/base/timestamp.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

// What a spreadsheet computes, or what our own mark would be taken for.
static bool needs_mark(Text text)
{
    return text.len > 0 && memchr("=+-@\t\r'", text.data[0], 7) != NULL;
}

static bool needs_quotes(Text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (memchr("\",\r\n", text.data[i], 4) != NULL)
            return true;
    }
    return false;
}

static void put_text(struct buf *out, Text text)
{
    const char *mark = needs_mark(text) ? "'" : "";

    if (!needs_quotes(text)) {
        buf_puts(out, mark);
        buf_append(out, text.data, text.len);
        return;
    }
    buf_puts(out, "\"");
    buf_puts(out, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            buf_puts(out, "\"");
        buf_append(out, &text.data[i], 1);
    }
    buf_puts(out, "\"");
}

static void put_field(struct buf *out, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field)
{
    const void *place = (const char *)message + field->offset;
    char moment[TIMESTAMP_TEXT_BYTES];

    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        put_text(out, *(const Text *)place);
        return;
    case PROTOBUF_C_TYPE_INT64:
        buf_printf(out, "%" PRId64, *(const int64_t *)place);
        return;
    default:
        assert(field->descriptor == &google__protobuf__timestamp__descriptor);
        timestamp_format(moment, wire_timestamp_us(*(Google__Protobuf__Timestamp *const *)place));
        buf_puts(out, moment);
        return;
    }
}

void csv_heading(struct buf *out, const ProtobufCMessageDescriptor *descriptor)
{
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        buf_puts(out, i > 0 ? "," : "");
        buf_puts(out, descriptor->fields[i].name);
    }
    buf_puts(out, "\r\n");
}

void csv_row(struct buf *out, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        buf_puts(out, i > 0 ? "," : "");
        put_field(out, message, &message->descriptor->fields[i]);
    }
    buf_puts(out, "\r\n");
}
