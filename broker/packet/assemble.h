// Puts together what a packet of a chain holds itself and what it takes over. Pure.
//
//   conversation   the ancestors' entries, oldest first, then its own
//   decisions, dependencies (by id), artifacts (by key), custom and the
//                  unknown members of the context (by key)
//                  the ancestors' in the same order, without those that a newer packet has too
//   pending        the same, and without those that a newer packet, or the ancestor itself, has
//   actions        completed or failed
// What the packet holds itself comes last, and just as it is.
#ifndef BROKER_PACKET_ASSEMBLE_H
#define BROKER_PACKET_ASSEMBLE_H

#include "broker/message/wire.h"

// An ancestor, and the parts of it that are taken over: see carry.h.
struct layer {
    const Hr__Packet *packet;
    unsigned carry;
};

// layers: the parent first. packet: changed in place; it borrows from the layers.
// Time: linear in what is put together. RC_CORRUPT: some `custom` is no JSON object.
enum rc assemble(Hr__Packet *packet, const struct layer *layers, size_t count,
                 struct arena *arena) MUST_CHECK;

#endif
