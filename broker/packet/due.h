// Deadlines: a timer is not an entry somewhere but a function of the packet.
#ifndef BROKER_PACKET_DUE_H
#define BROKER_PACKET_DUE_H

#include "broker/message/wire.h"

enum {
    DUE_LEASE = 1 << 0,    // the holder's lease ends
    DUE_CLAIM_BY = 1 << 1, // nobody has claimed it
    DUE_HITL = 1 << 2,     // a step, the warning or the time-out of its checkpoint
    DUE_TTL = 1 << 3,      // it is too old
    DUE_ARCHIVE = 1 << 4,  // finished long ago: it may leave the stream
};

#define DUE_NEVER INT64_MAX

struct due_spec {
    unsigned kinds;       // those to look at
    int64_t ttl_us;       // 0: packets of this tenant do not grow too old
    int64_t retention_us; // 0: they stay in the stream forever
};

// The earliest of the kinds: when, and *kind. DUE_NEVER: none; *kind is 0 then.
int64_t due_next(const Hr__Packet *packet, const struct due_spec *spec, unsigned *kind);

#endif
