// NDJSON lines are read by the codec of the contract. CSV (RFC 4180, LF accepted for CRLF) is split
// by a machine of five states, by hand: the one library Debian has for it has not been kept since
// 2013 and is no shorter to use. The first line of CSV names the columns, which may be in any
// order.
#include "clients/cli/audit/export_read.h"

#include "broker/base/timestamp.h"
#include "broker/message/json_read.h"
#include "broker/seal/seal_wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (64 * 1024)
#define COLUMNS_MAX 64

enum format { FORMAT_UNKNOWN, FORMAT_NDJSON, FORMAT_CSV };

enum csv_state {
    CSV_FIELD_START,
    CSV_PLAIN,
    CSV_QUOTED,
    CSV_QUOTE, // one within a quoted field: its end, or half of a quote
    CSV_CR,    // the record ends if LF follows
};

struct export_reader {
    export_row_fn on_row;
    void *ctx;
    struct arena *arena; // of the row in hand
    enum format format;
    uint64_t line;
    const char *error;
    struct buf row; // NDJSON: the line; CSV: the fields, a NUL behind each

    enum csv_state csv;
    size_t starts[COLUMNS_MAX]; // of the fields in row
    size_t field_count;
    bool has_heading;
    size_t column_count;
    const ProtobufCFieldDescriptor *columns[COLUMNS_MAX]; // NULL: one that says nothing to us
};

struct export_reader *export_reader_create(export_row_fn on_row, void *ctx)
{
    struct export_reader *reader = calloc(1, sizeof *reader);

    if (reader == NULL)
        abort();
    reader->on_row = on_row;
    reader->ctx = ctx;
    reader->line = 1;
    reader->arena = arena_create(ARENA_BYTES);
    return reader;
}

void export_reader_destroy(struct export_reader *reader)
{
    if (reader == NULL)
        return;
    arena_destroy(reader->arena);
    buf_fini(&reader->row);
    free(reader);
}

uint64_t export_reader_line(const struct export_reader *reader)
{
    return reader->line;
}

const char *export_reader_error(const struct export_reader *reader)
{
    return reader->error;
}

static enum rc fail(struct export_reader *reader, const char *error)
{
    reader->error = error;
    return RC_INVALID;
}

static enum rc hand_over(struct export_reader *reader, const Hr__AuditRow *message)
{
    struct seal_row row;
    const char *error = seal_row_of_wire(&row, reader->arena, message);

    if (error != NULL)
        return fail(reader, error);
    reader->on_row(reader->ctx, &row);
    return RC_OK;
}

// --- NDJSON --------------------------------------------------------------------------------------

static enum rc end_line(struct export_reader *reader)
{
    struct issues issues = {.arena = reader->arena};
    struct problem problem;
    ProtobufCMessage *message;
    size_t len = reader->row.len;
    enum rc rc;

    if (len > 0 && reader->row.data[len - 1] == '\r')
        len--;
    if (len == 0)
        return RC_OK;
    rc = json_read(&message, reader->arena, &hr__audit_row__descriptor, reader->row.data, len,
                   &issues, &problem);
    if (rc != RC_OK)
        return fail(reader, "this is not JSON");
    if (issues.count > 0)
        return fail(reader, "a column has another type than it should");
    rc = hand_over(reader, (const Hr__AuditRow *)message);
    arena_reset(reader->arena);
    return rc;
}

static enum rc feed_ndjson(struct export_reader *reader, const char *data, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(data, '\n', len);
        size_t part = newline != NULL ? (size_t)(newline - data) : len;
        enum rc rc;

        if (part > EXPORT_ROW_BYTES_MAX - reader->row.len)
            return fail(reader, "the line is too long");
        buf_append(&reader->row, data, part);
        if (newline == NULL)
            return RC_OK;
        rc = end_line(reader);
        if (rc != RC_OK)
            return rc;
        buf_reset(&reader->row);
        reader->line++;
        data += part + 1;
        len -= part + 1;
    }
    return RC_OK;
}

// --- CSV -----------------------------------------------------------------------------------------

static enum rc read_heading(struct export_reader *reader)
{
    for (size_t i = 0; i < reader->field_count; i++) {
        reader->columns[i] = protobuf_c_message_descriptor_get_field_by_name(
            &hr__audit_row__descriptor, reader->row.data + reader->starts[i]);
        for (size_t k = 0; k < i; k++) {
            if (reader->columns[i] != NULL && reader->columns[k] == reader->columns[i])
                return fail(reader, "a column is named twice");
        }
    }
    reader->column_count = reader->field_count;
    reader->has_heading = true;
    return RC_OK;
}

static bool read_field(struct arena *arena, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, const char *text, size_t len)
{
    void *place = (char *)message + field->offset;
    protobuf_c_boolean *has = (protobuf_c_boolean *)((char *)message + field->quantifier_offset);
    char *end;
    int64_t us;

    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        *(Text *)place = (Text){len, (uint8_t *)(uintptr_t)text};
        *has = 1;
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        assert(field->descriptor == &google__protobuf__timestamp__descriptor);
        if (timestamp_parse(text, len, &us) != NULL)
            return false;
        *(Google__Protobuf__Timestamp **)place = wire_timestamp(arena, us);
        return true;
    }
    assert(field->type == PROTOBUF_C_TYPE_INT64);
    errno = 0;
    *(int64_t *)place = strtoll(text, &end, 10);
    *has = 1;
    return errno == 0 && end != text && *end == '\0';
}

static enum rc read_fields(struct export_reader *reader)
{
    ProtobufCMessage *message = wire_new(reader->arena, &hr__audit_row__descriptor);
    enum rc rc;

    if (reader->field_count != reader->column_count)
        return fail(reader, "there are more or fewer fields than columns");
    for (size_t i = 0; i < reader->field_count; i++) {
        const char *text = reader->row.data + reader->starts[i];
        size_t end = i + 1 < reader->field_count ? reader->starts[i + 1] : reader->row.len;
        size_t len = end - reader->starts[i] - 1;

        // The mark that keeps a spreadsheet from computing the field.
        if (*text == '\'') {
            text++;
            len--;
        }
        if (reader->columns[i] != NULL &&
            !read_field(reader->arena, message, reader->columns[i], text, len))
            return fail(reader, "a column has another type than it should");
    }
    rc = hand_over(reader, (const Hr__AuditRow *)message);
    arena_reset(reader->arena);
    return rc;
}

static enum rc end_record(struct export_reader *reader)
{
    enum rc rc = RC_OK;

    if (!reader->has_heading)
        rc = read_heading(reader);
    else if (reader->field_count > 1 || reader->row.len > 1) // not an empty line
        rc = read_fields(reader);
    buf_reset(&reader->row);
    reader->field_count = 0;
    reader->line++;
    reader->csv = CSV_FIELD_START;
    return rc;
}

static bool begin_field(struct export_reader *reader)
{
    if (reader->field_count == COLUMNS_MAX)
        return false;
    reader->starts[reader->field_count++] = reader->row.len;
    return true;
}

// Outside of quotes: what follows a field.
static enum rc end_field(struct export_reader *reader, char c)
{
    buf_append(&reader->row, "", 1);
    if (c == ',') {
        reader->csv = CSV_FIELD_START;
        return RC_OK;
    }
    if (c == '\r') {
        reader->csv = CSV_CR;
        return RC_OK;
    }
    return end_record(reader);
}

static bool ends_field(char c)
{
    return c == ',' || c == '\r' || c == '\n';
}

static enum rc take_plain(struct export_reader *reader, char c)
{
    if (ends_field(c))
        return end_field(reader, c);
    if (c == '"')
        return fail(reader, "a quote in a field without quotes");
    buf_append(&reader->row, &c, 1);
    return RC_OK;
}

static enum rc take(struct export_reader *reader, char c)
{
    switch (reader->csv) {
    case CSV_FIELD_START:
        if (!begin_field(reader))
            return fail(reader, "too many fields");
        reader->csv = c == '"' ? CSV_QUOTED : CSV_PLAIN;
        return c == '"' ? RC_OK : take_plain(reader, c);
    case CSV_PLAIN:
        return take_plain(reader, c);
    case CSV_QUOTED:
        if (c == '"')
            reader->csv = CSV_QUOTE;
        else
            buf_append(&reader->row, &c, 1);
        return RC_OK;
    case CSV_QUOTE:
        if (ends_field(c))
            return end_field(reader, c);
        if (c != '"')
            return fail(reader, "a field goes on behind its closing quote");
        buf_append(&reader->row, &c, 1);
        reader->csv = CSV_QUOTED;
        return RC_OK;
    case CSV_CR:
        return c == '\n' ? end_record(reader) : fail(reader, "a carriage return within a line");
    }
    return fail(reader, "unknown state");
}

static enum rc feed_csv(struct export_reader *reader, const char *data, size_t len)
{
    if (memchr(data, '\0', len) != NULL)
        return fail(reader, "a NUL");
    while (len > 0) {
        enum rc rc;

        // The long ones are quoted: they are copied whole, up to the next quote.
        if (reader->csv == CSV_QUOTED) {
            const char *quote = memchr(data, '"', len);
            size_t part = quote != NULL ? (size_t)(quote - data) : len;

            if (part > EXPORT_ROW_BYTES_MAX - reader->row.len)
                return fail(reader, "the record is too long");
            buf_append(&reader->row, data, part);
            data += part;
            len -= part;
            if (len == 0)
                return RC_OK;
        }
        if (reader->row.len >= EXPORT_ROW_BYTES_MAX)
            return fail(reader, "the record is too long");
        rc = take(reader, *data);
        if (rc != RC_OK)
            return rc;
        data++;
        len--;
    }
    return RC_OK;
}

// --- both ----------------------------------------------------------------------------------------

enum rc export_reader_feed(struct export_reader *reader, const void *data, size_t len)
{
    if (reader->error != NULL)
        return RC_INVALID;
    if (len == 0)
        return RC_OK;
    if (reader->format == FORMAT_UNKNOWN)
        reader->format = *(const char *)data == '{' ? FORMAT_NDJSON : FORMAT_CSV;
    if (reader->format == FORMAT_NDJSON)
        return feed_ndjson(reader, data, len);
    return feed_csv(reader, data, len);
}

enum rc export_reader_finish(struct export_reader *reader)
{
    bool at_start = reader->format == FORMAT_CSV
                        ? reader->csv == CSV_FIELD_START && reader->field_count == 0
                        : reader->row.len == 0;

    if (reader->error != NULL)
        return RC_INVALID;
    if (!at_start)
        return fail(reader, "it ends in the middle of a row");
    if (reader->format == FORMAT_CSV && !reader->has_heading)
        return fail(reader, "there is no heading");
    return RC_OK;
}
