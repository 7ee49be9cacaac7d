// What search finds a packet by: its texts in three weights, each bounded. Internal to this folder.
#ifndef WORKERS_AUDIT_WORDS_H
#define WORKERS_AUDIT_WORDS_H

#include "broker/base/id.h"
#include "broker/message/wire.h"

#define WORDS_DIGEST_BYTES 16

struct words {
    Text title;   // summary and tags
    Text reasons; // decisions
    Text talk;    // conversation
    uint8_t digest[WORDS_DIGEST_BYTES];
};

// Texts in the arena. A very long one is cut: its beginning is found, its end is not.
void words_of(struct words *words, const Hr__Packet *packet, struct arena *arena);

// Which texts Postgres has already, as far as this program remembers: most changes leave them
// alone, and need not send them.
struct words_memory;

struct words_memory *words_memory_create(void);
void words_memory_destroy(struct words_memory *memory); // NULL is allowed

bool words_known(const struct words_memory *memory, const struct uuid *packet_id,
                 const struct words *words);
void words_learn(struct words_memory *memory, const struct uuid *packet_id,
                 const uint8_t digest[WORDS_DIGEST_BYTES]);
void words_forget_all(struct words_memory *memory);

#endif
