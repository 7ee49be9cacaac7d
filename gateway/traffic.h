// How many requests of each tenant this gateway has answered in the last hour, to the minute.
#ifndef GATEWAY_TRAFFIC_H
#define GATEWAY_TRAFFIC_H

#include "broker/base/arena.h"
#include "broker/message/text.h"

#include <stdint.h>

struct traffic;

struct traffic *traffic_create(void);
void traffic_destroy(struct traffic *traffic); // NULL is allowed

// now_ns: of the monotonic clock, here and below. tenant: a safe token of a key that is good, so
// that there are no more of them than tenants.
void traffic_note(struct traffic *traffic, const char *tenant, int64_t now_ns);

// A JSON object {tenant: requests}, of those with any; in the arena. tenant: of this one alone;
// NULL: of all.
Text traffic_json(const struct traffic *traffic, const char *tenant, int64_t now_ns,
                  struct arena *arena);

#endif
