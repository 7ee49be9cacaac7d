// The result codes of everything that can fail.
#ifndef BROKER_BASE_RC_H
#define BROKER_BASE_RC_H

// What a worker does with the message in hand when this is the result.
enum settle {
    SETTLE_ACK,   // done with it, also when the answer is a refusal
    SETTLE_RETRY, // the same message may succeed later
    SETTLE_DEAD,  // it never will
};

//  code          settle  what the reader of a log is told
#define RC_LIST(X)                                                                                 \
    X(OK, ACK, "ok")                                                                               \
    X(INVALID, DEAD, "invalid input")                                                              \
    X(TOO_LARGE, DEAD, "too large")                                                                \
    X(NOT_FOUND, ACK, "not found")                                                                 \
    X(REFUSED, ACK, "refused")                                                                     \
    X(CONFLICT, RETRY, "somebody else was first")                                                  \
    X(TIMEOUT, RETRY, "timed out")                                                                 \
    X(UNAVAILABLE, RETRY, "unavailable")                                                           \
    X(CLOSED, RETRY, "closed")                                                                     \
    X(IO, RETRY, "input or output failed")                                                         \
    X(FULL, RETRY, "no room to store it")                                                          \
    X(CORRUPT, DEAD, "stored data cannot be read")                                                 \
    X(CONFIG, DEAD, "bad configuration")                                                           \
    X(INTERNAL, RETRY, "internal error")

enum rc {
#define X(name, settle, text) RC_##name,
    RC_LIST(X)
#undef X
        RC_CODES
};

#define MUST_CHECK __attribute__((warn_unused_result))

// A static, lower-case phrase.
const char *rc_text(enum rc rc);

enum settle rc_settle(enum rc rc);

#endif
