// The refusal of a body that is no JSON.
#ifndef BROKER_MESSAGE_JSON_REFUSE_H
#define BROKER_MESSAGE_JSON_REFUSE_H

#include "broker/message/problem.h"

#include <yajl/yajl_parse.h>

// Refuses a body that is no JSON: the error names the offset and the reason, which is without
// anything to escape. Returns RC_REFUSED.
enum rc json_refuse(struct problem *problem, struct arena *arena, size_t offset,
                    const char *reason) MUST_CHECK;

// What yajl says in its first line, without the quotes that would end our string, in the arena.
const char *json_reason(yajl_handle yajl, struct arena *arena);

#endif
