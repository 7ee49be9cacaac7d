// Refusals, their codes and their bodies.
#include "broker/message/problem.h"

#include "broker/message/json_writer.h"

#include <assert.h>
#include <stdarg.h>

static const struct {
    unsigned status;
    const char *name;
} codes[] = {
#define X(name, status, text) [PROBLEM_##name] = {status, text},
    PROBLEM_LIST(X)
#undef X
};

// How long a client waits before it asks again, where nothing better is known.
#define RETRY_SECONDS 1
#define RETRY_FULL_SECONDS 10 // somebody has to make room first

unsigned problem_status(enum problem_code code)
{
    assert(code < PROBLEM_CODES);
    return codes[code].status;
}

const char *problem_name(enum problem_code code)
{
    assert(code < PROBLEM_CODES);
    return codes[code].name;
}

enum rc problem_set_json(struct problem *problem, enum problem_code code, Text detail)
{
    *problem = (struct problem){.code = code, .detail = detail};
    if (codes[code].status == 503)
        problem->retry_after_seconds = RETRY_SECONDS;
    if (code == PROBLEM_STORAGE_FULL)
        problem->retry_after_seconds = RETRY_FULL_SECONDS;
    return RC_REFUSED;
}

enum rc problem_set(struct problem *problem, struct arena *arena, enum problem_code code,
                    const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = arena_vprintf(arena, format, args);
    va_end(args);
    (void)problem_set_json(problem, code, json_of_string(arena, text));
    problem->text = text;
    return RC_REFUSED;
}

const char *problem_text(const struct problem *problem)
{
    return problem->text != NULL ? problem->text : problem_name(problem->code);
}

enum rc problem_of_rc(struct problem *problem, struct arena *arena, enum rc rc)
{
    switch (rc) {
    case RC_TIMEOUT:
    case RC_UNAVAILABLE:
    case RC_CLOSED:
    case RC_CONFLICT:
        return problem_set(problem, arena, PROBLEM_UNAVAILABLE,
                           "The service is unavailable for the moment");
    case RC_FULL:
        return problem_set(problem, arena, PROBLEM_STORAGE_FULL,
                           "There is no room to store this; nothing was changed");
    case RC_TOO_LARGE:
        return problem_set(problem, arena, PROBLEM_TOO_LARGE, "The message is too large");
    default:
        return problem_set(problem, arena, PROBLEM_INTERNAL, "Internal error");
    }
}

Hr__Error *problem_to_wire(const struct problem *problem, struct arena *arena)
{
    Hr__Error *error = wire_new(arena, &hr__error__descriptor);

    error->has_status = true;
    error->status = problem_status(problem->code);
    error->has_code = true;
    error->code = text_of(problem_name(problem->code));
    error->detail = wire_json(arena, problem->detail);
    if (problem->field != NULL) {
        error->has_field = true;
        error->field = text_of(problem->field);
    }
    if (problem->retry_after_seconds > 0) {
        error->has_retry_after_seconds = true;
        error->retry_after_seconds = problem->retry_after_seconds;
    }
    return error;
}

struct problem problem_of_wire(const Hr__Error *error, struct arena *arena)
{
    struct problem problem = {.code = PROBLEM_INTERNAL};

    for (int i = PROBLEM_NONE + 1; i < PROBLEM_CODES; i++) {
        if (text_is(error->code, codes[i].name))
            problem.code = (enum problem_code)i;
    }
    if (error->detail != NULL && error->detail->text.len > 0)
        problem.detail = error->detail->text;
    else
        problem.detail = text_of("\"Internal error\"");
    if (error->has_field)
        problem.field = arena_copy(arena, error->field.data, error->field.len);
    problem.retry_after_seconds = error->retry_after_seconds;
    return problem;
}

Text problem_body(const struct problem *problem, struct arena *arena, const char *request_id)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    Text body;

    json_object_open(writer);
    json_key(writer, "detail");
    json_raw(writer, problem->detail.data, problem->detail.len);
    json_key(writer, "code");
    json_string(writer, problem_name(problem->code));
    if (problem->field != NULL) {
        json_key(writer, "field");
        json_string(writer, problem->field);
    }
    if (request_id != NULL) {
        json_key(writer, "request_id");
        json_string(writer, request_id);
    }
    json_object_close(writer);
    body = json_writer_finish(writer, arena);
    return body;
}
