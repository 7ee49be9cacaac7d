// A set of texts in an arena, each with a number beside it: for telling whether an id was seen
// before, and where.
#ifndef BROKER_MESSAGE_TEXT_SET_H
#define BROKER_MESSAGE_TEXT_SET_H

#include "broker/message/text.h"

#include <stdint.h>

struct text_set {
    struct arena *arena;
    struct text_slot {
        Text text; // data NULL: free
        size_t value;
    } * slots;   // open addressing
    size_t room; // a power of two, or 0
    size_t count;
    uint64_t key[2]; // of the hash; random, so that no client can choose ids that collide
};

bool text_set_has(const struct text_set *set, Text text);

// Borrows text. Adding one twice is allowed.
void text_set_add(struct text_set *set, Text text);

// The same with a value; the one that a text came with first stays.
void text_set_put(struct text_set *set, Text text, size_t value);

// False: text is not in the set, and *value is untouched.
bool text_set_get(const struct text_set *set, Text text, size_t *value);

#endif
