// A set of texts in an arena: for telling whether an id was seen before.
#ifndef BROKER_PACKET_TEXT_SET_H
#define BROKER_PACKET_TEXT_SET_H

#include "broker/packet/text.h"

struct text_set {
    struct arena *arena;
    Text *slots; // open addressing; data NULL: free
    size_t room; // a power of two, or 0
    size_t count;
};

bool text_set_has(const struct text_set *set, Text text);

// Borrows text. Adding one twice is allowed.
void text_set_add(struct text_set *set, Text text);

#endif
