// What the contract says of a field beyond its protobuf type.
#ifndef BROKER_MESSAGE_RULES_H
#define BROKER_MESSAGE_RULES_H

#include "broker/message/wire.h"

enum {
    RULE_REQUIRED = 1 << 0, // absent is an error in JSON; in protobuf an absent string is empty
    RULE_SERVER = 1 << 1,   // written by us: on input it is ignored
    RULE_QUIET = 1 << 2,    // left out of an answer when absent, instead of being null or []
    RULE_UUID = 1 << 3,     // a UUID in any spelling; normalised
    RULE_OBJECT = 1 << 4,   // Json: must be an object
    RULE_COMPOUND = 1 << 5, // Json: must be a string, an object or an array
    RULE_SECRET = 1 << 6,   // no error repeats it
    RULE_EXTRA = 1 << 7,    // Json: the unknown members of its message, see extra.h
    RULE_OR_PARTS = 1 << 8, // a text; in JSON also a list or null, which goes to content_json
    RULE_PARTS = 1 << 9,    // Json: that list or null, see transcript.h

    RULE_HIDDEN = RULE_EXTRA | RULE_PARTS, // JSON has no member of that name
};

#define EXTRA_FIELD 99 // the number of the field `extra`, in every message that has it
#define LIST_MAX 10000 // entries of any list that a client sends

struct rule {
    unsigned flags;
    const char *fallback; // what absent means, or NULL; such a field may be absent, but not null
    int64_t min;          // of an integer, of the items of a list, of the characters of a text
    int64_t max;
};

// field: index into the descriptor. Never NULL. The first call builds the index: call it once
// before starting a second thread.
const struct rule *rules_of(const ProtobufCMessageDescriptor *descriptor, unsigned field);

// The message has a secret in it, however deep: an error does not repeat such a message either.
bool rules_hold_secret(const ProtobufCMessageDescriptor *descriptor);

#endif
