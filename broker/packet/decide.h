// The commands that change a packet, as pure functions: from what is stored and what is asked to
// what will be stored, or to a refusal. No clock, no network; broker/rail/change.c does the rest.
#ifndef BROKER_PACKET_DECIDE_H
#define BROKER_PACKET_DECIDE_H

#include "broker/message/command_table.h"
#include "broker/message/problem.h"

struct decision {
    // Given.
    struct arena *arena;
    const char *packet_id;
    const char *key_id; // the credential the command came with
    const void *ctx;    // of the change_spec: what the function knows beside the packet
    int64_t now_us;
    uint64_t claim;     // generation of the claim that the caller acts under; 0: it named none
    uint64_t sequence;  // of the record the packet is from; 0: there is none
    Hr__Packet *packet; // as stored, to be changed in place; NULL: there is none

    // Made by the function on RC_OK: packet (set by a create), and what happened.
    Text event_type; // "created", "claimed", "updated", ...
    Text actor;      // "agent:<id>", "system:<cause>"
    Text details;    // a JSON object
    bool unchanged;  // nothing is to be stored: the packet is as the command wants it

    // Made by the function on RC_REFUSED.
    struct problem problem;
};

// request: the checked command. Everything in the decision borrows from it or lives in the arena.
// RC_OK: store decision->packet. RC_REFUSED: decision->problem says why; store nothing.
typedef enum rc (*decide_fn)(struct decision *decision, const ProtobufCMessage *request);

// decide_update, _delete, _claim, _decline and _reassign, whose request is the command's own.
#define X(id, name)                                                                                \
    enum rc decide_##name(struct decision *decision, const ProtobufCMessage *request);
DECIDED_COMMANDS(X)
#undef X

enum rc decide_create(struct decision *decision, const ProtobufCMessage *create_packet);
// The same in the words of a batch. decide_complete: update_packet, of which only
// subject_digest is looked at.
enum rc decide_batch_claim(struct decision *decision, const ProtobufCMessage *claim_packet);
enum rc decide_complete(struct decision *decision, const ProtobufCMessage *update_packet);
enum rc decide_heartbeat(struct decision *decision, const ProtobufCMessage *heartbeat_claim);
enum rc decide_release(struct decision *decision, const ProtobufCMessage *release_claim);
// decision->ctx: a struct electorate, see electorate.h.
enum rc decide_respond(struct decision *decision, const ProtobufCMessage *respond_packet);
// One step of an open checkpoint that nobody has answered; its time has come.
enum rc decide_unanswered(struct decision *decision);
// decision->ctx: a struct due_spec, see due.h; request is not looked at.
enum rc decide_due(struct decision *decision, const ProtobufCMessage *request);

// Leaves of a finished packet what finds it again in Postgres. Its time has come, and Postgres has
// it.
enum rc decide_archive(struct decision *decision);

// Refuses while the packet is held under a lease and the caller does not act under that claim. An
// agent_id in a command proves nothing. Everything that changes a packet calls it, except what may
// end a lease: a delete, and the rail's own timers. Answers need it not, as no packet that waits
// for one is held.
enum rc decide_lease(struct decision *decision);

// Refuses when digest is not that of what was approved. has_digest false: the caller presents none.
enum rc decide_subject(struct decision *decision, bool has_digest, Text digest);

// Refuses a checkpoint that this very change opened when its quorum is out of reach, as the
// credential that opens it has no vote, or when nobody can tell which answers approve.
enum rc decide_opened(struct decision *decision);

// 422 at body.hitl. fault: for people, static or from the arena.
enum rc decide_hitl_fault(struct decision *decision, const char *fault);

// Hands an open packet to the next of its fallback agents that has not declined it, or, when there
// is none, to what its on_unclaimed says. Sets the event; reason goes into its details.
enum rc decide_move_on(struct decision *decision, const char *reason);

// Addresses the packet to another agent and sets the event; reason goes into its details.
void decide_readdress(struct decision *d, Hr__TargetAgent *agent, const char *reason);

// The decision of a command that is nothing else. NULL: the command has a handler in its worker.
decide_fn decide_of(enum command_id id);

// "Packet <id> not found"
enum rc decide_not_found(struct decision *decision);

#endif
