// A packet that goes on from another one.
#ifndef BROKER_PACKET_CHAIN_H
#define BROKER_PACKET_CHAIN_H

#include "broker/packet/decide.h"
#include "broker/packet/loop.h"

#define CHAIN_WINDOW 8                // ancestors that a packet names itself
#define CHAIN_CONTEXT_BYTES (1 << 20) // taken over, where nothing else is said

// What decide_chain has to know beside the command: the ctx of its change.
struct chain_parent {
    const char *packet_id;    // as the command names it
    const Hr__Packet *packet; // the parent as it was last changed, whole; NULL: there is none
    Text event_id;            // of that version
    uint64_t sequence;        // likewise
    uint64_t if_match;        // the sequence it must have; 0: any
    uint64_t claim;           // the claim it must be held under while it is worked on; 0: any
    struct loop_limits limits;
    int64_t max_context_bytes; // at most so many are taken over
};

// request: a checked ChainPacket; decision->ctx: a struct chain_parent. Makes a packet as
// decide_create does.
enum rc decide_chain(struct decision *decision, const ProtobufCMessage *chain_packet);

// request: a checked CreatePacket; decision->ctx: a struct chain_parent, or NULL. A create that
// names its parent continues the parent's path and is refused as a loop like any follow-up; it
// takes nothing over. A parent that does not exist is no error, and is followed by nothing.
enum rc decide_create_child(struct decision *decision, const ProtobufCMessage *create_packet);

#endif
