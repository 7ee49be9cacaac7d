// JSON as text.
#ifndef BROKER_PACKET_JSON_TEXT_H
#define BROKER_PACKET_JSON_TEXT_H

#include "broker/packet/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <yajl/yajl_parse.h>

#define JSON_DEPTH_MAX 256 // levels of objects and lists, free-form parts included

// True when text is exactly one JSON value within the depth limit. levels: how many objects and
// lists it will stand in.
bool json_is_valid_within(const void *text, size_t len, size_t levels);
bool json_is_valid(const void *text, size_t len);

// The offset of the first \uXXXX that is half of a surrogate pair without the other half, or len.
// yajl turns it into something else without a word.
size_t json_find_half_pair(const char *text, size_t len);

// yajl also takes a vertical tab and a form feed for blanks; in JSON they stand nowhere. The offset
// of the first one, or len.
size_t json_find_false_blank(const char *text, size_t len);

// Nothing but what JSON takes for a blank.
bool json_is_blank(const char *text, size_t len);

// Refuses a body that is no JSON: the error names the offset and the reason, which is without
// anything to escape. Returns RC_REFUSED.
enum rc json_refuse(struct problem *problem, struct arena *arena, size_t offset,
                    const char *reason) MUST_CHECK;

// What yajl says in its first line, without the quotes that would end our string, in the arena.
const char *json_reason(yajl_handle yajl, struct arena *arena);

#endif
