// What holds for a message whatever it was written in: JSON, protobuf, a query string.
#ifndef BROKER_MESSAGE_CHECK_H
#define BROKER_MESSAGE_CHECK_H

#include "broker/message/issues.h"

// Sets fallbacks, normalises UUIDs, and appends to issues, under where (the first path step), what
// breaks a rule: required messages that are absent, unknown enum values, integers out of bounds,
// bad UUIDs, text that is not UTF-8, free-form parts that are not JSON.
//
// trusted: message was made by json_read, which has checked the text and reported what is missing;
// otherwise it came as protobuf, where an absent required string means "", and fields that are not
// ours are dropped.
void message_check(ProtobufCMessage *message, const char *where, bool trusted,
                   struct issues *issues);

// The same, without a word, for a message of ours: only sets fallbacks, so that a record written
// before a field existed reads like a new one.
void message_complete(ProtobufCMessage *message, struct arena *arena);

// What is wrong with a message although each of its fields is right, for people; NULL: nothing.
// create: it comes with a new packet. Defined by the layer that knows what messages mean.
const char *message_fault(const ProtobufCMessage *message, bool create);

#endif
