// From columns back to an event.
#include "workers/query/event_row.h"

static Text text_at(struct arena *arena, const struct pg_result *rows, int row, int column)
{
    size_t len;
    const void *data = pg_get_bytes(rows, row, column, &len);

    return text_copy(arena, data, len);
}

static Text id_at(struct arena *arena, const struct pg_result *rows, int row, int column)
{
    struct uuid uuid = pg_get_uuid(rows, row, column);
    char *text = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(text, &uuid);
    return text_of(text);
}

// Replaces what the columns could not hold.
static void read_record(struct event_row *event, struct arena *arena, const void *data, size_t len)
{
    ProtobufCMessage *message;
    const Hr__Event *exact;

    if (wire_unpack(&message, arena, &hr__packet_record__descriptor, data, len) != RC_OK)
        return; // type "unreadable": the columns are all there is
    exact = ((Hr__PacketRecord *)message)->event;
    if (exact == NULL)
        return;
    event->type = exact->type;
    event->actor = exact->actor;
    event->key_id = exact->key_id;
    if (exact->details != NULL && exact->details->text.len > 0)
        event->details = exact->details->text;
}

void event_row_read(struct event_row *event, struct arena *arena, const struct pg_result *rows,
                    int row)
{
    *event = (struct event_row){
        .id = id_at(arena, rows, row, 0),
        .packet_id = id_at(arena, rows, row, 1),
        .sequence = (uint64_t)pg_get_int(rows, row, 2),
        .at_us = pg_get_timestamp_us(rows, row, 3),
        .type = text_at(arena, rows, row, 4),
        .actor = text_at(arena, rows, row, 5),
        .key_id = text_at(arena, rows, row, 6),
        .details = text_at(arena, rows, row, 7),
    };
    if (!pg_is_null(rows, row, 8)) {
        size_t len;
        const void *data = pg_get_bytes(rows, row, 8, &len);

        read_record(event, arena, data, len);
    }
}
