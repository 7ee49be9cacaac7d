// From columns to a sealed row.
#include "broker/sql/sealed_row.h"

static Text text_at(const struct pg_result *rows, int row, int column)
{
    Text text;

    text.data = (uint8_t *)(uintptr_t)pg_get_bytes(rows, row, column, &text.len);
    return text;
}

void sealed_row_read(struct seal_row *sealed, const struct pg_result *rows, int row)
{
    Text mac = text_at(rows, row, 15);

    *sealed = (struct seal_row){
        .shard = pg_get_int(rows, row, 0),
        .epoch = pg_get_int(rows, row, 1),
        .seq = pg_get_int(rows, row, 2),
        .part = pg_get_int(rows, row, 3),
        .number = pg_get_int(rows, row, 4),
        .at_us = pg_get_timestamp_us(rows, row, 5),
        .event_id = pg_get_uuid(rows, row, 6),
        .packet_id = pg_get_uuid(rows, row, 7),
        .tenant = text_at(rows, row, 8),
        .type = text_at(rows, row, 9),
        .actor = text_at(rows, row, 10),
        .key_id = text_at(rows, row, 11),
        .details = text_at(rows, row, 12),
        .record = text_at(rows, row, 13),
        .key = (int)pg_get_int(rows, row, 14),
    };
    // What has another length is no mac of ours, and will not fit.
    memcpy(sealed->mac, mac.data, mac.len < SEAL_BYTES ? mac.len : SEAL_BYTES);
}
