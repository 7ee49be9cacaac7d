// Reading pages and filters.
#include "workers/query/page.h"

#include "broker/base/log.h"
#include "broker/message/check.h"
#include "broker/sql/column.h"

#include <assert.h>
#include <string.h>

static Text trim(Text text)
{
    while (text.len > 0 && strchr(" \t\r\n\v\f", text.data[0]) != NULL && text.data[0] != '\0') {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && text.data[text.len - 1] != '\0' &&
           strchr(" \t\r\n\v\f", text.data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

// Cuts the first item off a comma list. False: there was none.
static bool next_item(Text *rest, Text *item)
{
    uint8_t *comma;

    if (rest->data == NULL)
        return false;
    comma = memchr(rest->data, ',', rest->len);
    *item = *rest;
    if (comma == NULL) {
        rest->data = NULL;
    } else {
        item->len = (size_t)(comma - rest->data);
        rest->data += item->len + 1;
        rest->len -= item->len + 1;
    }
    *item = trim(*item);
    return true;
}

enum rc page_list(struct pg_array *array, struct pg_param *single, struct pg_param *many,
                  struct arena *arena, Text text, bool drop_empty)
{
    struct pg_param param = pg_null(PG_TEXT);
    Text item;
    enum rc rc;

    rc = pg_array_param(array, many); // for its type
    many->null = true;
    if (rc != RC_OK || text.len == 0)
        return rc;
    while (next_item(&text, &item)) {
        if (drop_empty && item.len == 0)
            continue;
        param = column_key(arena, item.data, item.len);
        pg_array_append(array, param);
    }
    if (array->count == 0)
        return RC_OK;
    if (single != NULL && array->count == 1) {
        *single = param;
        return RC_OK;
    }
    return pg_array_param(array, many);
}

struct pg_param page_text(struct arena *arena, bool has, Text text)
{
    if (!has || text.len == 0)
        return pg_null(PG_TEXT);
    return column_key(arena, text.data, text.len);
}

struct pg_param page_time(const Google__Protobuf__Timestamp *timestamp)
{
    if (timestamp == NULL)
        return pg_null(PG_TIMESTAMPTZ);
    return pg_timestamptz(wire_timestamp_us(timestamp));
}

Hr__PacketPage *page_create(struct arena *arena, bool has_limit, int64_t limit, bool has_offset,
                            int64_t offset)
{
    Hr__PacketPage *page = wire_new(arena, &hr__packet_page__descriptor);

    page->has_limit = true;
    page->limit = has_limit ? limit : PAGE_DEFAULT;
    page->has_offset = true;
    page->offset = has_offset ? offset : 0;
    page->has_total = true;
    assert(page->limit > 0 && page->offset >= 0); // checked with the request
    return page;
}

enum rc page_read(Hr__PacketPage *page, struct arena *arena, const struct pg_result *rows,
                  int count)
{
    page->packets = arena_calloc(arena, (size_t)count, sizeof(void *));
    for (int row = 0; row < count; row++) {
        ProtobufCMessage *message;
        Hr__Packet *packet;
        size_t len;
        const void *data = pg_get_bytes(rows, row, 0, &len);

        if (wire_unpack(&message, arena, &hr__packet__descriptor, data, len) != RC_OK) {
            log_error("page.unreadable", "row=%d bytes=%zu", row, len);
            return RC_CORRUPT;
        }
        message_complete(message, arena);
        packet = (Hr__Packet *)message;
        // The claiming record could not know its own sequence.
        if (packet->claim != NULL && !packet->claim->has_generation) {
            packet->claim->has_generation = true;
            packet->claim->generation = (uint64_t)pg_get_int(rows, row, 1);
        }
        page->packets[page->n_packets++] = packet;
    }
    return RC_OK;
}
