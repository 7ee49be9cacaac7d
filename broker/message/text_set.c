// Open addressing, at most half full, with SipHash-1-3 under a random key: the texts are chosen by
// clients, and with a hash they can foresee they could make every look-up walk the whole table.
#include "broker/message/text_set.h"

#include "broker/base/id.h"

#define ROOM_FIRST 16

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void mix(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t hash(const struct text_set *set, Text text)
{
    uint64_t v[4] = {
        set->key[0] ^ 0x736f6d6570736575U,
        set->key[1] ^ 0x646f72616e646f6dU,
        set->key[0] ^ 0x6c7967656e657261U,
        set->key[1] ^ 0x7465646279746573U,
    };
    uint64_t last = (uint64_t)text.len << 56;
    size_t whole = text.len - text.len % 8;
    uint64_t word;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, text.data + i, sizeof word);
        v[3] ^= word;
        mix(v);
        v[0] ^= word;
    }
    for (size_t i = whole; i < text.len; i++)
        last |= (uint64_t)text.data[i] << (8 * (i - whole));
    v[3] ^= last;
    mix(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// Where text is, or where it would go.
static struct text_slot *find(const struct text_set *set, Text text)
{
    size_t at = (size_t)hash(set, text) & (set->room - 1);

    while (set->slots[at].text.data != NULL && !text_equal(set->slots[at].text, text))
        at = (at + 1) & (set->room - 1);
    return &set->slots[at];
}

static void choose_key(struct text_set *set)
{
    for (size_t i = 0; i < 2; i++) {
        struct uuid random = uuid_new();

        memcpy(&set->key[i], random.bytes + UUID_BYTES - sizeof set->key[i], sizeof set->key[i]);
    }
}

static void grow(struct text_set *set)
{
    struct text_set bigger = *set;

    if (set->room == 0)
        choose_key(&bigger);
    bigger.room = set->room > 0 ? set->room * 2 : ROOM_FIRST;
    bigger.slots = arena_calloc(set->arena, bigger.room, sizeof *bigger.slots);
    for (size_t i = 0; i < set->room; i++) {
        if (set->slots[i].text.data != NULL)
            *find(&bigger, set->slots[i].text) = set->slots[i];
    }
    *set = bigger;
}

bool text_set_get(const struct text_set *set, Text text, size_t *value)
{
    const struct text_slot *slot;

    if (set->count == 0)
        return false;
    slot = find(set, text);
    if (slot->text.data == NULL)
        return false;
    *value = slot->value;
    return true;
}

bool text_set_has(const struct text_set *set, Text text)
{
    size_t value;

    return text_set_get(set, text, &value);
}

void text_set_put(struct text_set *set, Text text, size_t value)
{
    struct text_slot *slot;

    if ((set->count + 1) * 2 > set->room)
        grow(set);
    if (text.data == NULL) // an empty one, as a message may hold it
        text = text_of("");
    slot = find(set, text);
    if (slot->text.data == NULL) {
        *slot = (struct text_slot){text, value};
        set->count++;
    }
}

void text_set_add(struct text_set *set, Text text)
{
    text_set_put(set, text, 0);
}
