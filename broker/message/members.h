// The members of a JSON object, each as its text stands.
#ifndef BROKER_MESSAGE_MEMBERS_H
#define BROKER_MESSAGE_MEMBERS_H

#include "broker/message/text.h"

struct member {
    Text key; // as it is meant: without quotes and escapes; in the arena or in the object's text
    Text raw; // "key":value, as it stands in the object's text
};

struct members {
    struct member *items; // in the arena
    size_t count;
};

// False: this is not one JSON object.
bool members_read(struct members *members, Text object, struct arena *arena);

// The object of these members, in the arena.
Text members_join(const struct members *members, struct arena *arena);

#endif
