// Which events a hook is told of, and in which words. Pure.
#ifndef WORKERS_WEBHOOK_BODY_H
#define WORKERS_WEBHOOK_BODY_H

#include "broker/base/id.h"
#include "broker/packet/event_names.h"

// The name under which the hook gets the record; NULL: it does not. A constant.
const char *body_wanted(const Hr__Hook *hook, const Hr__PacketRecord *record);

// The body of the request, in the arena.
Text body_of(struct arena *arena, const char *event, const Hr__PacketRecord *record);

// Of an event for a hook: the same over retries, replays and replicas. hook_id, event_id: UUIDs.
struct uuid body_delivery_id(const char *hook_id, Text event_id);

#endif
