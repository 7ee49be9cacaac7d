// What a request under an Idempotency-Key was, and what it was given, when no single packet can
// remember that: a claim-next, whose packet is not known beforehand, and a batch.
//
// It is noted on a subject of its own before anything is done. A batch notes what it asks for. A
// claim-next notes its choice before the claim is made, and again when it has been made: every
// crash point leaves either no note, or one whose claim the next try makes or finds.
#ifndef BROKER_RAIL_GIVEN_H
#define BROKER_RAIL_GIVEN_H

#include "broker/rail/service.h"

struct given {
    const char *packet_id; // in the command's arena; NULL: nothing was chosen
    uint64_t sequence;     // of the claim; 0: it is not known to have been made
    uint64_t note;         // sequence of the note; 0: there is none
    bool reused;           // the key has been used for another request
};

// Loop thread, exactly once. RC_TIMEOUT, RC_UNAVAILABLE, RC_IO: it cannot be known.
typedef void (*given_loaded_fn)(void *ctx, enum rc rc, const struct given *given);

// The command must have an idempotency key; it and the digest of what it asks for, DIGEST_BYTES,
// must live until then.
void given_load(struct store *store, struct command *command, Text digest, given_loaded_fn done,
                void *ctx);

// Loop thread, exactly once. RC_CONFLICT: another request with the same key was faster. Others: it
// may have been noted or not.
typedef void (*given_noted_fn)(void *ctx, enum rc rc, uint64_t note);

// Notes the request, the packet if there is one, and the sequence of its claim if that has been
// made. given->note: of the last note.
void given_note(struct store *store, struct command *command, Text digest,
                const struct given *given, given_noted_fn done, void *ctx);

#endif
