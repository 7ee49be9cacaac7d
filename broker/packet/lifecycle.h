// The life of a packet: one table says which moves are legal, one function makes them.
#ifndef BROKER_PACKET_LIFECYCLE_H
#define BROKER_PACKET_LIFECYCLE_H

#include "broker/packet/wire.h"

enum move {
    MOVE_CREATE,   // a new packet that anyone may claim
    MOVE_HOLD,     // a new packet that waits for a human
    MOVE_CLAIM,    // somebody takes it
    MOVE_START,    // its holder begins
    MOVE_ASK,      // it stops for a human
    MOVE_COMPLETE, // done
    MOVE_FAIL,     // given up
    MOVE_EXPIRE,   // deleted, or too old
    MOVES,
};

struct edge {
    Hr__Status from; // STATUS_UNSPECIFIED: there is no packet yet
    enum move move;
    Hr__Status to;
};

// Ends with a row whose move is MOVES.
extern const struct edge lifecycle_edges[];

bool lifecycle_allows(Hr__Status from, enum move move);

// The move that leads to a status, as PATCH names it. False for created, which nothing returns to.
bool lifecycle_move_to(Hr__Status to, enum move *move);

// Makes the move: the only code that assigns packet->status. Also writes the stamps and the claim
// that go with it; a claim's holder is packet->metadata->target_agent, set by the caller
// beforehand. RC_REFUSED: the table has no such row; nothing changed.
enum rc lifecycle_step(Hr__Packet *packet, enum move move, int64_t now_us,
                       struct arena *arena) MUST_CHECK;

// "in_progress", or "unknown" for a status that only a newer program knows. Returns buffer.
const char *lifecycle_name(char buffer[ENUM_TEXT_BYTES], Hr__Status status);

// "['claimed', 'failed']": where a PATCH may lead from here, in the words of the contract.
const char *lifecycle_choices(Hr__Status from, struct arena *arena);

#endif
