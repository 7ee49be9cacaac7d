// Where a page of packets ended, as an opaque text that the client hands back.
#ifndef WORKERS_QUERY_CURSOR_H
#define WORKERS_QUERY_CURSOR_H

#include "broker/base/id.h"
#include "broker/base/rc.h"

#include <stddef.h>
#include <stdint.h>

#define CURSOR_TEXT_BYTES 48 // enough for cursor_format and its NUL

struct cursor {
    int64_t created_us; // of the last packet of the page
    struct uuid id;     // of the same
    int64_t total;      // rows that matched when the first page was made: the same on every page
};

void cursor_format(char text[CURSOR_TEXT_BYTES], const struct cursor *cursor);

// RC_INVALID: not one of ours.
enum rc cursor_parse(struct cursor *cursor, const void *text, size_t len) MUST_CHECK;

// Where a page of the audit log ended, likewise.
#define CURSOR_PLACE_TEXT_BYTES 48

struct cursor_place {
    int64_t shard;
    int64_t epoch;
    int64_t seq;
    int64_t part;
};

void cursor_place_format(char text[CURSOR_PLACE_TEXT_BYTES], const struct cursor_place *place);
enum rc cursor_place_parse(struct cursor_place *place, const void *text, size_t len) MUST_CHECK;

#endif
