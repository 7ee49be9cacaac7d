// One change as listeners are told of it.
#ifndef GATEWAY_LIVE_EVENT_H
#define GATEWAY_LIVE_EVENT_H

#include "broker/message/wire.h"
#include "broker/nats/msg.h"

#include <stdint.h>

struct live_event {
    struct live_event *next; // newer; for the one who keeps it
    uint64_t sequence;       // in the stream
    const char *name;        // static
    Text status;
    Text packet_id;
    Text source;
    Text target;
    Text envelope; // JSON, one line
};

// Reads a record's message. NULL: nobody is told of it. The event is one block of memory, freed
// with free(). scratch is used and reset.
struct live_event *live_event_read(struct msg *msg, uint64_t sequence, struct arena *scratch);

// What it costs, in bytes.
size_t live_event_bytes(const struct live_event *event);

#endif
