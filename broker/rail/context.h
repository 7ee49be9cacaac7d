// The context of a packet of a chain: what it holds itself and what it takes over.
//
// A packet names the 8 nearest of its ancestors, and their records name those beyond; so a chain is
// read in rounds of 8 records at a time. What does not fit into the packet's max_context_bytes is
// not held while the chain is walked, and is named in the answer.
#ifndef BROKER_RAIL_CONTEXT_H
#define BROKER_RAIL_CONTEXT_H

#include "broker/message/problem.h"
#include "broker/rail/store.h"

// Loop thread, exactly once. problem: why it cannot be had; NULL: all is well.
typedef void (*context_done_fn)(void *ctx, const struct problem *problem);

// Completes a packet for an answer, in place: see broker/packet/assemble.h. With a problem the
// packet is as it was. done may be called before the return. packet and arena must live until then.
void context_assemble(struct store *store, const char *tenant, Hr__Packet *packet,
                      struct arena *arena, context_done_fn done, void *ctx);

// Loop thread, exactly once. part: in the arena; sequence: of the version it is from. NULL: problem
// says why.
typedef void (*context_found_fn)(void *ctx, const Hr__OwnPart *part, uint64_t sequence,
                                 const struct problem *problem);

// What an ancestor of packet holds itself, in the version that was taken over. from: its id, in any
// spelling, perhaps with @ and a sequence. PROBLEM_NOT_FOUND: no such ancestor, or no such version
// of it among them.
void context_find(struct store *store, const char *tenant, const Hr__Packet *packet, Text from,
                  struct arena *arena, context_found_fn done, void *ctx);

#endif
