// What a command under an Idempotency-Key was answered with, for as long as HR_GIVEN keeps it: the
// same command again is answered the same, another one under the key is refused.
//
// For commands that do something that no record remembers. A packet or a hook remembers its own
// changes.
#ifndef BROKER_RAIL_ANSWERS_H
#define BROKER_RAIL_ANSWERS_H

#include "broker/rail/handles.h"
#include "broker/rail/service.h"

struct answer; // of one command, in its arena

struct answers_spec {
    const ProtobufCMessageDescriptor *reply;
    // How long a first try that has not answered yet keeps others from trying: its worker may have
    // died. 0: not at all, the command may be carried out twice.
    int64_t busy_us;
};

// Loop thread, at most once: carry it out, and end it with one of the functions below. It is not
// called when the command was answered from memory, or refused.
typedef void (*answers_go_fn)(void *ctx, struct answer *answer);

// Without an Idempotency-Key, go is called at once. spec is copied.
void answers_begin(struct run *run, struct command *command, const struct answers_spec *spec,
                   answers_go_fn go, void *ctx);

// Each remembers the answer, but for that of a server's error, and ends the command.
void answer_reply(struct answer *answer, const ProtobufCMessage *reply);
void answer_refuse(struct answer *answer, const struct problem *problem);
void answer_fail(struct answer *answer, enum rc rc);

#endif
