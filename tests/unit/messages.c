// Messages from JSON and back.
#include "tests/unit/messages.h"

#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"

static const char *chars_of(struct arena *arena, Text text)
{
    return arena_copy(arena, text.data, text.len);
}

ProtobufCMessage *message_read(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                               const char *json, size_t len, const char **refusal)
{
    struct issues issues = {.arena = arena};
    ProtobufCMessage *message = NULL;
    struct problem problem;

    *refusal = NULL;
    if (json_read(&message, arena, descriptor, json, len, &issues, &problem) != RC_OK) {
        *refusal = chars_of(arena, problem.detail);
        return NULL;
    }
    message_check(message, "body", true, &issues);
    if (issues.count == 0)
        return message;
    (void)issues_to_problem(&issues, &problem);
    *refusal = chars_of(arena, problem.detail);
    return NULL;
}

ProtobufCMessage *message_of(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                             const char *json)
{
    const char *refusal;
    ProtobufCMessage *message = message_read(arena, descriptor, json, strlen(json), &refusal);

    cr_assert_not_null(message, "%s: %s", json, refusal);
    return message;
}

const char *refusal_of(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                       const char *json)
{
    const char *refusal;
    ProtobufCMessage *message = message_read(arena, descriptor, json, strlen(json), &refusal);

    cr_assert_null(message, "accepted: %s", json);
    return refusal;
}

const char *check_refusal(struct arena *arena, ProtobufCMessage *message)
{
    struct issues issues = {.arena = arena};
    struct problem problem;

    message_check(message, "body", false, &issues);
    if (issues.count == 0)
        return NULL;
    (void)issues_to_problem(&issues, &problem);
    return chars_of(arena, problem.detail);
}

const char *json_text_of(struct arena *arena, const ProtobufCMessage *message)
{
    return chars_of(arena, json_of_message(arena, message));
}

const char *create_body(struct arena *arena, const char *more)
{
    return arena_printf(arena,
                        "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                        "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"}},"
                        "\"context\":{\"summary\":\"x\"}%s}",
                        more);
}
