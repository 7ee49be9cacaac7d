// What tests of the domain have in common: messages from JSON and back, in a few words.
#ifndef TESTS_UNIT_MESSAGES_H
#define TESTS_UNIT_MESSAGES_H

#include "broker/message/problem.h"

#include <criterion/criterion.h>

// Fails unless the Text is these characters.
#define ASSERT_TEXT(text, chars)                                                                   \
    cr_assert(text_is((text), (chars)), "\"%.*s\" instead of \"%s\"", TEXT_ARGS(text), (chars))

// A request as a worker reads it: json_read, then message_check. NULL when it was refused; *refusal
// is then the detail, otherwise NULL.
ProtobufCMessage *message_read(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                               const char *json, size_t len, const char **refusal);

// The same, of a text that must be good.
ProtobufCMessage *message_of(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                             const char *json);

// The detail of the refusal of a text that must be bad.
const char *refusal_of(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                       const char *json);

// The message as protobuf: check without trust. NULL: good.
const char *check_refusal(struct arena *arena, ProtobufCMessage *message);

// With a NUL behind it.
const char *json_text_of(struct arena *arena, const ProtobufCMessage *message);

// The smallest body of a create, with more members behind it ("" or ",\"hitl\":null").
const char *create_body(struct arena *arena, const char *more);

#endif
