// A command that is many changes: all of them at once, one answer.
#ifndef BROKER_RAIL_BATCH_H
#define BROKER_RAIL_BATCH_H

#include "broker/rail/service.h"

// One change of the batch.
struct batch_item {
    // Given.
    const char *packet_id;           // NULL: a create
    const ProtobufCMessage *request; // checked; NULL: it was not good, and error says why
    change_check_fn check;           // see change.h
    const void *ctx;                 // of its decision; NULL: that of the command
    uint64_t claim;                  // generation the packet's claim must have; 0: any
    // Made.
    Hr__Packet *packet; // whole, as the change left it; NULL: refused
    const char *error;  // for people, when it was refused
    uint64_t sequence;
};

struct batch {
    const char *verb;
    decide_fn decide;
    struct batch_item *items; // in the command's arena, as everything in them
    size_t count;
    // Loop thread, once: every item is made. Must answer the command; sequence is the highest.
    void (*done)(struct command *command, const struct batch *batch, uint64_t sequence);
};

// An Idempotency-Key of the command holds for the whole batch: with another one it is refused; and
// for each item by its place. An id that stands in the batch twice is changed in the order of the
// batch. A command with a header about one packet is refused. batch must live as long as the
// command.
void batch_run(struct command *command, struct store *store, struct batch *batch);

// The errors of a batch, in its order: by packet id, or by place when the items are creates.
void batch_errors(struct command *command, const struct batch *batch, Hr__BatchError ***errors,
                  size_t *count);

// Its packets, in its order.
void batch_packets(struct command *command, const struct batch *batch, Hr__Packet ***packets,
                   size_t *count);

#endif
