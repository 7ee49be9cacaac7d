// A row of packet_events as the event it stands for, to the byte.
#ifndef WORKERS_QUERY_EVENT_ROW_H
#define WORKERS_QUERY_EVENT_ROW_H

#include "broker/message/wire.h"
#include "broker/sql/row.h"

// What a statement has to select for event_row_read, from packet_events. The record comes along
// only where a column cannot hold its text exactly, which U+001A in it tells.
#define EVENT_ROW_COLUMNS                                                                          \
    "event_id, packet_id, seq, at, type, actor, key_id, details,"                                  \
    " CASE WHEN strpos(type || actor || key_id || details, E'\\x1a') > 0 THEN record END"

struct event_row {
    Text id;
    Text packet_id;
    uint64_t sequence;
    int64_t at_us;
    Text type;
    Text actor;
    Text key_id;
    Text details; // JSON
};

// Everything in *event is in the arena.
void event_row_read(struct event_row *event, struct arena *arena, const struct pg_result *rows,
                    int row);

#endif
