// Why a command was refused, in the words of the contract.
#ifndef BROKER_MESSAGE_PROBLEM_H
#define BROKER_MESSAGE_PROBLEM_H

#include "broker/base/rc.h"
#include "broker/message/wire.h"

//  code                   HTTP status   what a program branches on
#define PROBLEM_LIST(X)                                                                            \
    X(NONE, 200, "none")                                                                           \
    X(BAD_REQUEST, 400, "bad_request")                                                             \
    X(UNPARSABLE, 400, "unparsable_body")                                                          \
    X(ILLEGAL_TRANSITION, 400, "illegal_transition")                                               \
    X(INVALID_CURSOR, 400, "invalid_cursor")                                                       \
    X(INVALID_HEADER, 400, "invalid_header")                                                       \
    X(NO_CHECKPOINT, 400, "no_checkpoint")                                                         \
    X(BATCH_TOO_LARGE, 400, "batch_too_large")                                                     \
    X(KEY_MISSING, 401, "key_missing")                                                             \
    X(KEY_INVALID, 401, "key_invalid")                                                             \
    X(KEY_REVOKED, 401, "key_revoked")                                                             \
    X(FORBIDDEN, 403, "forbidden")                                                                 \
    X(NOT_APPROVER, 403, "not_approver")                                                           \
    X(NOT_FOUND, 404, "not_found")                                                                 \
    X(NO_ROUTE, 404, "no_route")                                                                   \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed")                                               \
    X(REQUEST_TIMEOUT, 408, "request_timeout")                                                     \
    X(ALREADY_CLAIMED, 409, "already_claimed")                                                     \
    X(ALREADY_EXPIRED, 409, "already_expired")                                                     \
    X(AWAITING_HUMAN, 409, "awaiting_human")                                                       \
    X(NOT_ADDRESSED, 409, "not_addressed")                                                         \
    X(NOT_AWAITING, 409, "not_awaiting_human")                                                     \
    X(ALREADY_VOTED, 409, "already_voted")                                                         \
    X(CHECKPOINT_OPEN, 409, "checkpoint_open")                                                     \
    X(SUBJECT_MISMATCH, 409, "subject_mismatch")                                                   \
    X(MUST_BE_ASKED_AGAIN, 409, "must_be_asked_again")                                             \
    X(STALE_CLAIM, 409, "stale_claim")                                                             \
    X(DECLINED, 409, "declined")                                                                   \
    X(HANDOFF_LOOP, 409, "handoff_loop")                                                           \
    X(FINISHED, 409, "already_finished")                                                           \
    X(ARCHIVED, 409, "archived")                                                                   \
    X(ALREADY_INACTIVE, 409, "already_inactive")                                                   \
    X(SCHEMAS_FULL, 409, "schemas_full")                                                           \
    X(SECRETS_FULL, 409, "secrets_full")                                                           \
    X(EXPIRED, 410, "expired")                                                                     \
    X(PRECONDITION_FAILED, 412, "precondition_failed")                                             \
    X(TOO_LARGE, 413, "too_large")                                                                 \
    X(TARGET_TOO_LONG, 414, "target_too_long")                                                     \
    X(UNSUPPORTED_MEDIA, 415, "unsupported_media_type")                                            \
    X(EXPECTATION_FAILED, 417, "expectation_failed")                                               \
    X(VALIDATION, 422, "validation_error")                                                         \
    X(KEY_REUSED, 422, "idempotency_key_reused")                                                   \
    X(HEADERS_TOO_LARGE, 431, "headers_too_large")                                                 \
    X(INTERNAL, 500, "internal")                                                                   \
    X(NOT_IMPLEMENTED, 501, "not_implemented")                                                     \
    X(UNAVAILABLE, 503, "unavailable")                                                             \
    X(CONTENDED, 503, "contended")                                                                 \
    X(OUTCOME_UNKNOWN, 503, "outcome_unknown")                                                     \
    X(PROJECTION_BEHIND, 503, "projection_behind")                                                 \
    X(STORAGE_FULL, 507, "storage_full")                                                           \
    X(HTTP_VERSION, 505, "http_version_not_supported")

enum problem_code {
#define X(name, status, text) PROBLEM_##name,
    PROBLEM_LIST(X)
#undef X
        PROBLEM_CODES
};

struct problem {
    enum problem_code code; // PROBLEM_NONE: nothing is wrong
    Text detail;            // JSON: a string, an object, or a list of validation items
    const char *text;       // the same for people, in one line; NULL: only the code is known
    const char
        *field; // NULL: no single one; borrowed for the life of the program or from the arena
    unsigned retry_after_seconds; // 0: no advice
};

// What HTTP calls it, and the machine-readable name.
unsigned problem_status(enum problem_code code);
const char *problem_name(enum problem_code code);

// Sets *problem, the text in the arena. Returns RC_REFUSED so that a refusal is one statement.
enum rc problem_set(struct problem *problem, struct arena *arena, enum problem_code code,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

// The same with a detail that is JSON already.
enum rc problem_set_json(struct problem *problem, enum problem_code code, Text detail);

// What to tell a person, in one line.
const char *problem_text(const struct problem *problem);

// For a failure below: UNAVAILABLE, STORAGE_FULL, TOO_LARGE or INTERNAL, with a text that tells no
// secret.
enum rc problem_of_rc(struct problem *problem, struct arena *arena, enum rc rc);

// As it travels over NATS, in the arena.
Hr__Error *problem_to_wire(const struct problem *problem, struct arena *arena);

// Back again. Borrows from error. An unknown code becomes INTERNAL with the detail kept.
struct problem problem_of_wire(const Hr__Error *error, struct arena *arena);

// The JSON body {"detail":...,"code":...[,"field":...][,"request_id":...]}, in the arena.
// request_id may be NULL.
Text problem_body(const struct problem *problem, struct arena *arena, const char *request_id);

#endif
