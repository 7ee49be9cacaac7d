// Reads JSON into a message, driven by its descriptor.
#ifndef BROKER_MESSAGE_JSON_READ_H
#define BROKER_MESSAGE_JSON_READ_H

#include "broker/message/issues.h"
#include "broker/message/json_text.h"

// Reads text, which must outlive the message: strings and free-form parts point into it.
// Unknown members are kept if the message has room for them (see extra.h) and dropped otherwise,
// members that the server owns are ignored, types are coerced as the
// contract says. What is wrong is appended to issues with its path under "body"; the message then
// lacks those fields. Absent fields get no fallback here: message_check does that.
//
// RC_OK: *message is set, perhaps with issues. RC_REFUSED: this is not JSON at all, *problem says
// why.
enum rc json_read(ProtobufCMessage **message, struct arena *arena,
                  const ProtobufCMessageDescriptor *descriptor, const void *text, size_t len,
                  struct issues *issues, struct problem *problem) MUST_CHECK;

#endif
