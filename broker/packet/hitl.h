// A human checkpoint: what may be asked, who may answer, what happens when nobody does.
// Pure functions of the checkpoint; docs/hitl.md says the same to users.
#ifndef BROKER_PACKET_HITL_H
#define BROKER_PACKET_HITL_H

#include "broker/message/wire.h"

#define GROUP_PREFIX "group:"

// What a time-out does to the packet.
enum hitl_timeout {
    HITL_TIMEOUT_EXPIRE,   // it expires; also when nothing is said
    HITL_TIMEOUT_FAIL,     // it fails
    HITL_TIMEOUT_RELEASE,  // anyone may claim it, unanswered
    HITL_TIMEOUT_ANSWER,   // it goes on as if the argument had been answered, but nobody has
    HITL_TIMEOUT_ESCALATE, // the argument is asked as well, and the time begins again, once
};

// Reads hitl->on_timeout. argument: what stands behind the colon, or len 0. False: it is none of
// the five.
bool hitl_timeout_of(const Hr__Hitl *hitl, enum hitl_timeout *timeout, Text *argument);

// What is wrong with a checkpoint that a client sends, for people; NULL: nothing. create: it comes
// with a new packet, where a required checkpoint needs a reason.
const char *hitl_fault(const Hr__Hitl *hitl, bool create);

// So many votes can be had when this key asks, which has none itself; empty: nobody has asked yet.
// A group is taken to be large enough.
bool hitl_has_quorum(const Hr__Hitl *hitl, Text asker);

// Begins the checkpoint: no votes, no answer, every clock at its start. Whatever it held of an
// earlier asking is gone.
void hitl_open(Hr__Hitl *hitl, int64_t now_us, struct arena *arena);

// What is next to happen at an open checkpoint if nobody answers.
enum hitl_due {
    HITL_DUE_NOTHING,
    HITL_DUE_STEP,    // the next rung of the escalation
    HITL_DUE_WARNING, // time runs out soon
    HITL_DUE_TIMEOUT, // it has
};

// When: *at_us. Of two at the same moment the one that stands first above.
enum hitl_due hitl_next_due(const Hr__Hitl *hitl, int64_t *at_us);

// When the last step of its escalation is, or was, due; 0: it has none.
int64_t hitl_last_step_us(const Hr__Hitl *hitl);

// The answer has consequences: it is about a subject, or the votes of certain people decide it.
// Such a checkpoint names the options that approve.
bool hitl_has_consequences(const Hr__Hitl *hitl);

// An approval is at stake, so the checkpoint cannot be replaced while it is open or once it is
// answered.
bool hitl_is_guarded(const Hr__Hitl *hitl);

// Lower-case hex SHA-256 of the text of a subject, in the arena.
Text hitl_digest(const Hr__Json *subject, struct arena *arena);

// May this be an answer: one of the options, or anything where none are given.
bool hitl_takes(const Hr__Hitl *hitl, Text response);

// What an answer means.
enum hitl_verdict {
    HITL_ANSWERED,  // neither an approval nor a refusal: nothing depends on it
    HITL_APPROVES,  // one of the approve_options
    HITL_REFUSES,   // every other answer where something depends on it
    HITL_UNDECIDED, // stored by an earlier version in such a way that nobody can tell: it must be
                    // asked again
};

// diverted: whether a chain goes on depends on the answer.
enum hitl_verdict hitl_verdict(const Hr__Hitl *hitl, bool diverted, Text response);

// A human has answered with one of the options that approve. What a time-out answers approves
// nothing.
bool hitl_is_approved(const Hr__Hitl *hitl);

// Makes hitl ask whether the agents shall go on: "continue" approves, "stop" refuses.
void hitl_ask_to_go_on(Hr__Hitl *hitl, struct arena *arena);

#endif
