// Open addressing, at most half full.
#include "broker/packet/text_set.h"

#include <stdint.h>

#define ROOM_FIRST 16

static size_t hash(Text text)
{
    uint64_t sum = 14695981039346656037U; // FNV-1a

    for (size_t i = 0; i < text.len; i++)
        sum = (sum ^ text.data[i]) * 1099511628211U;
    return (size_t)(sum ^ (sum >> 32));
}

// Where text is, or where it would go.
static Text *find(const struct text_set *set, Text text)
{
    size_t at = hash(text) & (set->room - 1);

    while (set->slots[at].data != NULL && !text_equal(set->slots[at], text))
        at = (at + 1) & (set->room - 1);
    return &set->slots[at];
}

static void grow(struct text_set *set)
{
    struct text_set bigger = {.arena = set->arena,
                              .room = set->room > 0 ? set->room * 2 : ROOM_FIRST,
                              .count = set->count};

    bigger.slots = arena_calloc(set->arena, bigger.room, sizeof *bigger.slots);
    for (size_t i = 0; i < set->room; i++) {
        if (set->slots[i].data != NULL)
            *find(&bigger, set->slots[i]) = set->slots[i];
    }
    *set = bigger;
}

bool text_set_has(const struct text_set *set, Text text)
{
    return set->count > 0 && find(set, text)->data != NULL;
}

void text_set_add(struct text_set *set, Text text)
{
    Text *slot;

    if ((set->count + 1) * 2 > set->room)
        grow(set);
    if (text.data == NULL) // an empty one, as a message may hold it
        text = text_of("");
    slot = find(set, text);
    if (slot->data == NULL) {
        *slot = text;
        set->count++;
    }
}
