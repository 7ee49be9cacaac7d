// What a packet takes over from its parent: a set of the parts that can be.
#ifndef BROKER_PACKET_CARRY_H
#define BROKER_PACKET_CARRY_H

#include "broker/message/wire.h"

enum {
    CARRY_CONVERSATION = 1 << 0,
    CARRY_PENDING_ACTIONS = 1 << 1,
    CARRY_DECISIONS = 1 << 2,
    CARRY_DEPENDENCIES = 1 << 3,
    CARRY_ARTIFACTS = 1 << 4,
    CARRY_CUSTOM = 1 << 5,

    CARRY_ALL = (1 << 6) - 1,
    CARRY_CONTEXT =
        CARRY_CONVERSATION | CARRY_ARTIFACTS | CARRY_CUSTOM, // what Packet.context holds
};

// All names, as a refusal lists them: "'conversation', ... or 'custom'"
extern const char carry_choices[];

// The part of that name; 0: there is none.
unsigned carry_of_name(Text name);

// Names that are not known, written by a later version, are left out.
unsigned carry_of(const Text *names, size_t count);

// The names of a set, in their one order. The array is in the arena.
Text *carry_names(unsigned carry, struct arena *arena, size_t *count);

// The packet holds these parts itself from now on. lineage: may be NULL.
void carry_drop(Hr__Lineage *lineage, unsigned parts, struct arena *arena);

#endif
