// The life of a packet: one table says which moves are legal, one function makes them.
#ifndef BROKER_PACKET_LIFECYCLE_H
#define BROKER_PACKET_LIFECYCLE_H

#include "broker/message/wire.h"

enum move {
    MOVE_CREATE,   // a new packet that anyone may claim
    MOVE_HOLD,     // a new packet that waits for a human
    MOVE_CLAIM,    // somebody takes it
    MOVE_RETURN,   // its holder gives it back, or lost it
    MOVE_ANSWER,   // a human has answered: it is reserved for the agent it is with
    MOVE_REOPEN,   // no human has answered: it goes on without
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
    bool by_patch; // a client may ask for it by naming the status
};

// Ends with a row whose move is MOVES.
extern const struct edge lifecycle_edges[];

bool lifecycle_allows(Hr__Status from, enum move move);

// The move that leads to a status, as PATCH names it. False for created, which no PATCH leads to.
bool lifecycle_move_to(Hr__Status to, enum move *move);

// Makes the move: the only code that assigns packet->status. Also writes what goes with it: stamps,
// the claim, whose holder is packet->metadata->target_agent, set by the caller beforehand; the
// deadline of an open packet, which is with its addressee again; the clocks of its checkpoint.
// RC_REFUSED: the table has no such row; nothing changed.
enum rc lifecycle_step(Hr__Packet *packet, enum move move, int64_t now_us,
                       struct arena *arena) MUST_CHECK;

// "in_progress", or "unknown" for a status that only a newer program knows. Returns buffer.
const char *lifecycle_name(char buffer[ENUM_TEXT_BYTES], Hr__Status status);

// "['claimed', 'failed']": where a PATCH may lead from here, in the words of the contract.
const char *lifecycle_choices(Hr__Status from, struct arena *arena);

#endif
