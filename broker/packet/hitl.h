// A human checkpoint: what may be asked, who may answer, what happens when nobody does.
// Pure functions of the checkpoint; docs/hitl.md says the same to users.
#ifndef BROKER_PACKET_HITL_H
#define BROKER_PACKET_HITL_H

#include "broker/packet/wire.h"

#define GROUP_PREFIX "group:"

// What a time-out does to the packet.
enum hitl_timeout {
    HITL_TIMEOUT_EXPIRE,   // it expires; also when nothing is said
    HITL_TIMEOUT_FAIL,     // it fails
    HITL_TIMEOUT_RELEASE,  // anyone may claim it, unanswered
    HITL_TIMEOUT_ANSWER,   // it goes on as if the argument had been answered, but nobody has
    HITL_TIMEOUT_ESCALATE, // the argument is asked as well, and the time begins anew, once
};

// Reads hitl->on_timeout. argument: what stands behind the colon, or len 0. False: it is none of
// the five.
bool hitl_timeout_of(const Hr__Hitl *hitl, enum hitl_timeout *timeout, Text *argument);

// What is wrong with a checkpoint that a client sends, for people; NULL: nothing. create: it comes
// with a new packet, where a required checkpoint needs a reason.
const char *hitl_fault(const Hr__Hitl *hitl, bool create);

bool hitl_has_option(const Hr__Hitl *hitl, Text option);

// The answer is a refusal: one of hitl->rejections, or, where those are not given, a word for no.
bool hitl_is_rejection(const Hr__Hitl *hitl, Text response);

#endif
