// What a claim-next under an Idempotency-Key was given, so that a repeat is given the same.
//
// The packet a claim-next gets is not known beforehand, so the packet's own memory of changes
// cannot be asked. Instead the choice is noted before the claim is made, on a subject of its own,
// and noted again when it has been made. Every crash point leaves either no note, or one whose
// claim the next try makes or finds.
#ifndef WORKERS_CLAIM_GIVEN_H
#define WORKERS_CLAIM_GIVEN_H

#include "broker/service.h"

struct given {
    const char *packet_id; // in the command's arena; NULL: nothing was chosen yet
    uint64_t sequence;     // of the claim; 0: it is not known to have been made
    uint64_t note;         // sequence of the note; 0: there is none
    bool reused;           // the key has been used for another request
};

// Loop thread, exactly once. RC_TIMEOUT, RC_UNAVAILABLE, RC_IO: it cannot be known.
typedef void (*given_loaded_fn)(void *ctx, enum rc rc, const struct given *given);

// The command must have an idempotency key; it must live until then.
void given_load(struct store *store, struct command *command, given_loaded_fn done, void *ctx);

// Loop thread, exactly once. RC_CONFLICT: another request with the same key was faster. Others: it
// may have been noted or not.
typedef void (*given_noted_fn)(void *ctx, enum rc rc, uint64_t note);

// Notes the packet, and the sequence of its claim if that has been made. note: of the last note.
void given_note(struct store *store, struct command *command, const struct given *given,
                given_noted_fn done, void *ctx);

#endif
