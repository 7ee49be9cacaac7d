// The packet that a record stands for, as an answer shows it: out of Postgres when only a stub of
// it is left in the stream, and with what it takes over from its ancestors.
#ifndef BROKER_RAIL_PACKET_VIEW_H
#define BROKER_RAIL_PACKET_VIEW_H

#include "broker/message/problem.h"
#include "broker/rail/store.h"

// Loop thread, exactly once. problem: why it cannot be had, and packet is NULL; NULL: all is well.
// sequence: of the version that packet is.
typedef void (*whole_done_fn)(void *ctx, const struct problem *problem, Hr__Packet *packet,
                              uint64_t sequence);

// packet: from the record at sequence; it is changed. done may be called before the return. packet
// and arena must live until then.
void whole_load(struct store *store, const char *tenant, Hr__Packet *packet, uint64_t sequence,
                struct arena *arena, whole_done_fn done, void *ctx);

#endif
