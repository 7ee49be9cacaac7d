// Who is called when the connection to NATS comes or goes. Any of them may be removed, and others
// added, while they are being called.
#ifndef BROKER_NATS_STATE_LISTENERS_H
#define BROKER_NATS_STATE_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

struct state_listener {
    void (*on_state)(void *ctx, bool up); // NULL: removed while the listeners were being called
    void *ctx;
};

// A zeroed struct has no listeners.
struct state_listeners {
    struct state_listener *items; // owned
    size_t count;
    size_t room;
    bool calling;
};

void state_listeners_fini(struct state_listeners *listeners);

void state_listeners_add(struct state_listeners *listeners, void (*on_state)(void *ctx, bool up),
                         void *ctx);

// Removes every listener with this ctx: none of them is called from now on.
void state_listeners_remove(struct state_listeners *listeners, const void *ctx);

// Calls each of those that were there at the beginning once, in the order of being added.
void state_listeners_call(struct state_listeners *listeners, bool up);

#endif
