// Every packet as it is, and then every change as it comes: what indexes and timers are built from.
#ifndef BROKER_RAIL_FEED_H
#define BROKER_RAIL_FEED_H

#include "broker/rail/handles.h"

struct feed;

struct feed_config {
    // Loop thread, in the order of the stream. Everything is borrowed for the length of the call.
    // The packet comes without what it carries: see broker/packet/summary.h.
    // After a break, packets are told again; an unchanged one has the same sequence.
    void (*on_packet)(void *ctx, const char *tenant, const char *packet_id,
                      const struct stored *stored);
    // Everything there was has been told (true), or may not have been (false). May be NULL.
    void (*on_current)(void *ctx, bool current);
    // The stream has lost its end: what was known of packets may be of records that are gone. Every
    // packet is heard again. May be NULL.
    void (*on_reset)(void *ctx);
    void *ctx;
};

// config is copied.
struct feed *feed_open(struct run *run, const struct feed_config *config);

// NULL is allowed.
void feed_close(struct feed *feed);

bool feed_is_current(const struct feed *feed);

// Sequence of the last record told.
uint64_t feed_position(const struct feed *feed);

#endif
