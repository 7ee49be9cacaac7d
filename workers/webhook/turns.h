// Who may send at once, outside the queue: so many in all, fewer to one hook; the others wait. No
// input or output.
#ifndef WORKERS_WEBHOOK_TURNS_H
#define WORKERS_WEBHOOK_TURNS_H

#include "workers/webhook/queue.h"

struct turns_limits {
    unsigned total;
    unsigned per_hook;
    unsigned waiting; // beyond which nobody else should be let in; in all, and
    unsigned waiting_per_hook;
};

// One attempt; its owner's memory, until turns_end.
struct turn {
    struct turn *next;
    struct turn *before;
    const char *hook; // its key; borrowed until turns_end
    bool has_begun;
    void (*begin)(struct turn *turn); // may be called before turns_ask returns
};

struct turns {
    struct turns_limits limits;
    struct turn *waiting; // oldest first
    struct turn *running;
};

// Does so much wait that one more should be refused? hook: NULL for any.
bool turns_are_full(const struct turns *turns, const char *hook);

// Begins it now, or when it is its turn.
void turns_ask(struct turns *turns, struct turn *turn);

// It has had its turn: others may begin.
void turns_end(struct turns *turns, struct turn *turn);

#endif
