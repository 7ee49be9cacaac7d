// One change of one packet: load, decide, append on condition, and again when somebody else was
// first.
//
// This is where "exactly once" is made, so it stands in one place:
//   - a create with an idempotency key has an id derived from the key, so a repeat meets the first;
//   - every record names the packet's last changes, so a repeated command, or an append whose
//   answer
//     was lost, finds its own work and is answered with the very record it made;
//   - everything else is decided by the server: an append is taken only if the packet is still as
//   it
//     was when the decision was made.
#ifndef BROKER_RAIL_CHANGE_H
#define BROKER_RAIL_CHANGE_H

#include "broker/packet/decide.h"
#include "broker/rail/store.h"

// How many changes a record remembers; the packet's creation is always one of them.
#define CHANGES_KEPT 16

// No change may leave a record larger than this: messages end at 8 MB. One that adds next to
// nothing, as a claim does, is still allowed, so that a large packet can be worked on.
#define RECORD_BYTES_MAX (7 * 1024 * 1024)
#define RECORD_BYTES_SPARE (64 * 1024)

struct change_spec;

// Loop thread, exactly once. problem: why the change may not be made; NULL: it may.
typedef void (*change_checked_fn)(void *change, const struct problem *problem);

// What has to be asked elsewhere before a change is decided on. Calls done, perhaps before it
// returns. spec and arena: those of the change.
typedef void (*change_check_fn)(const struct change_spec *spec, struct store *store,
                                struct arena *arena, change_checked_fn done, void *change);

struct change_spec {
    const char *tenant;
    const char *key_id;          // the credential it is done with
    const char *verb;            // tells requests that look alike apart, for the idempotency key
    const char *packet_id;       // NULL: a create; the id is made here
    bool look_first;             // a create that may be refused for what was otherwise when it was
                                 // first given: a repeat is looked for before it is decided
    const char *idempotency_key; // NULL: none
    uint64_t if_match;           // sequence the packet must have; 0: any
    uint64_t claim;              // generation the packet's claim must have; 0: any
    change_check_fn check;       // once, before the first decide; NULL: none
    decide_fn decide;
    const void *ctx;                 // for decide and check
    const ProtobufCMessage *request; // checked
};

// Loop thread, exactly once. RC_OK: stored is the record this command made, now or when it was
// first given. RC_REFUSED: problem says why; nothing was changed by this command, except with
// PROBLEM_OUTCOME_UNKNOWN, which says so.
typedef void (*change_done_fn)(void *ctx, enum rc rc, const struct stored *stored,
                               const struct problem *problem);

// spec and everything it points to must live as long as the arena, and the arena until done is
// called.
void change_run(struct store *store, const struct change_spec *spec, struct arena *arena,
                change_done_fn done, void *ctx);

#endif
