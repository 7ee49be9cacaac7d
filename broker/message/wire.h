// The generated messages, and what protobuf-c leaves to its callers.
#ifndef BROKER_MESSAGE_WIRE_H
#define BROKER_MESSAGE_WIRE_H

#include "broker/base/arena.h"
#include "broker/base/rc.h"
#include "broker/base/timestamp.h"
#include "broker/message/text.h"

#include <google/protobuf/timestamp.pb-c.h>
#include <handoffrail/v1/admin.pb-c.h>
#include <handoffrail/v1/audit.pb-c.h>
#include <handoffrail/v1/batch.pb-c.h>
#include <handoffrail/v1/chain.pb-c.h>
#include <handoffrail/v1/command.pb-c.h>
#include <handoffrail/v1/live.pb-c.h>
#include <handoffrail/v1/packet.pb-c.h>
#include <handoffrail/v1/query.pb-c.h>
#include <handoffrail/v1/record.pb-c.h>
#include <handoffrail/v1/schema.pb-c.h>
#include <handoffrail/v1/webhook.pb-c.h>

// A message with every field absent.
void *wire_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor);

// Reads what a client sent, as wire_unpack does, in memory that is a small multiple of len.
// RC_INVALID: not such a message. RC_TOO_LARGE: it would take more, as many empty messages do.
enum rc wire_unpack_request(ProtobufCMessage **message, struct arena *arena,
                            const ProtobufCMessageDescriptor *descriptor, const void *data,
                            size_t len) MUST_CHECK;

// Reads bytes that the rail wrote. The message lives in the arena and does not point into data.
// RC_INVALID: not such a message.
enum rc wire_unpack(ProtobufCMessage **message, struct arena *arena,
                    const ProtobufCMessageDescriptor *descriptor, const void *data,
                    size_t len) MUST_CHECK;

// The bytes of a message, in the arena.
Text wire_pack(struct arena *arena, const ProtobufCMessage *message);

Google__Protobuf__Timestamp *wire_timestamp(struct arena *arena, int64_t us);

// Microseconds, clamped to the years 1..9999. NULL is 0.
int64_t wire_timestamp_us(const Google__Protobuf__Timestamp *timestamp);

// Borrows text, which must be JSON.
Hr__Json *wire_json(struct arena *arena, Text text);

// "in_progress" for STATUS_IN_PROGRESS. buffer must hold the longest such name; returns buffer, or
// NULL for a value the descriptor does not know.
#define ENUM_TEXT_BYTES 32
const char *wire_enum_text(char buffer[ENUM_TEXT_BYTES], const ProtobufCEnumDescriptor *descriptor,
                           int value);

// The opposite. False for a name the descriptor does not know, and for "unspecified".
bool wire_enum_parse(const ProtobufCEnumDescriptor *descriptor, const char *text, size_t len,
                     int *value);

// "'low', 'normal', 'high' or 'critical'"
const char *wire_enum_choices(struct arena *arena, const ProtobufCEnumDescriptor *descriptor);

// A message whose only field is `repeated X items`: JSON writes it as a bare array.
bool wire_is_list(const ProtobufCMessageDescriptor *descriptor);

#endif
