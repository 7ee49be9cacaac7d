// The members of a JSON object that the contract does not know: kept as they were sent.
//
// A message that keeps them has the field `extra`, a JSON object with nothing but them. In JSON
// they stand in the message itself.
#ifndef BROKER_MESSAGE_EXTRA_H
#define BROKER_MESSAGE_EXTRA_H

#include "broker/message/members.h"
#include "broker/message/text_set.h"
#include "broker/message/wire.h"

#define EXTRA_MEMBERS_MAX 1000 // unknown members of one object

// The field `extra` of such a message; NULL: it keeps none.
const ProtobufCFieldDescriptor *extra_field(const ProtobufCMessageDescriptor *descriptor);

// The place of that field in a message that has it.
Hr__Json **extra_slot(ProtobufCMessage *message);

// The field of that name as JSON sees it; NULL: the name is unknown.
const ProtobufCFieldDescriptor *extra_known(const ProtobufCMessageDescriptor *descriptor,
                                            Text name);

// The name belongs to a field of the message, or of the one that the rail makes of it: a client's
// member must not be taken for what the rail writes.
bool extra_is_reserved(const ProtobufCMessageDescriptor *descriptor, Text name);

// Those of one object, while it is read.
struct extra {
    struct arena *arena;
    struct members members;
    size_t room;
    struct text_set seen; // only of an object with many
    bool too_many;
};

// Adds one whose raw text the caller sets once it is known. NULL: the object has one of that name,
// or has EXTRA_MEMBERS_MAX, and then too_many is set. The result is good until the next call.
struct member *extra_add(struct extra *extra, Text name);

// Those that were added; NULL: there are none. The text is in the arena.
Hr__Json *extra_json(const struct extra *extra);

// What a client sent in the field itself, in protobuf: takes the reserved names out of it. *extra
// becomes NULL if nothing is left. NULL, or what is wrong with it, for an error.
const char *extra_clean(Hr__Json **extra, const ProtobufCMessageDescriptor *descriptor,
                        struct arena *arena);

// Lays what an update sent over what is stored: a member that is null goes. Either may be NULL, and
// so may the result. RC_CORRUPT: one of them is no JSON object. RC_TOO_LARGE: together they are
// more than EXTRA_MEMBERS_MAX, and more than was stored.
enum rc extra_merge(Hr__Json **stored, const Hr__Json *sent, struct arena *arena) MUST_CHECK;

#endif
