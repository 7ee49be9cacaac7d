// What lists of packets have in common: filters in, packets out.
#ifndef WORKERS_QUERY_PAGE_H
#define WORKERS_QUERY_PAGE_H

#include "broker/message/wire.h"
#include "broker/sql/param.h"
#include "broker/sql/row.h"

// RC_OK: the answer is in the arena of the question. Otherwise it is NULL: RC_UNAVAILABLE,
// RC_TIMEOUT, RC_CORRUPT.
typedef void (*query_done)(void *ctx, enum rc rc, const ProtobufCMessage *answer);

#define PAGE_DEFAULT 50

#define PAGE_BYTES_MAX (4u << 20) // of packets: a page ends early behind that

// The first columns of a statement whose rows page_read reads, from packets.
#define PAGE_COLUMNS "packet, seq"

// Appends the packets of the first count rows to the page. RC_CORRUPT: one cannot be read, logged.
enum rc page_read(Hr__PacketPage *page, struct arena *arena, const struct pg_result *rows,
                  int count) MUST_CHECK;

// A new page with these bounds; absent ones are the usual.
Hr__PacketPage *page_create(struct arena *arena, bool has_limit, int64_t limit, bool has_offset,
                            int64_t offset);

// A filter, or null when it is absent or empty.
struct pg_param page_text(struct arena *arena, bool has, Text text);
struct pg_param page_time(const Google__Protobuf__Timestamp *timestamp);

// A comma list, its items trimmed. *single or *many is set, the other is null: the planner can keep
// the order of an index only for one value; single NULL: *many is wanted in any case. An empty
// array counts as no filter when drop_empty is set. array: initialised by the caller for PG_TEXT;
// what is set lives as long as it.
enum rc page_list(struct pg_array *array, struct pg_param *single, struct pg_param *many,
                  struct arena *arena, Text text, bool drop_empty) MUST_CHECK;

#endif
