// Reads a query string's parameters into a message, driven by its descriptor.
#ifndef BROKER_MESSAGE_QUERY_READ_H
#define BROKER_MESSAGE_QUERY_READ_H

#include "broker/message/issues.h"

// Sets *value to the decoded value of a parameter; a NUL stands behind it, and it may hold others.
// Borrowed for as long as the message is used. False: absent.
typedef bool (*query_value_fn)(const void *source, const char *name, Text *value);

// Every field of the message is a parameter of its name; an empty text is an absent one. What is
// wrong is appended to issues with its path under "query"; bounds are message_check's.
ProtobufCMessage *query_read(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                             query_value_fn value_of, const void *source, struct issues *issues);

#endif
