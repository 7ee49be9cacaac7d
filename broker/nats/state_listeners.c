// A list that keeps its order and its places while it is being walked.
#include "broker/nats/state_listeners.h"

#include <stdlib.h>

#define ROOM_FIRST 16

void state_listeners_fini(struct state_listeners *listeners)
{
    free(listeners->items);
    *listeners = (struct state_listeners){0};
}

void state_listeners_add(struct state_listeners *listeners, void (*on_state)(void *ctx, bool up),
                         void *ctx)
{
    if (listeners->count == listeners->room) {
        listeners->room = listeners->room > 0 ? listeners->room * 2 : ROOM_FIRST;
        listeners->items = realloc(listeners->items, listeners->room * sizeof *listeners->items);
        if (listeners->items == NULL)
            abort();
    }
    listeners->items[listeners->count++] = (struct state_listener){on_state, ctx};
}

static void close_gaps(struct state_listeners *listeners)
{
    size_t kept = 0;

    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->items[i].on_state != NULL)
            listeners->items[kept++] = listeners->items[i];
    }
    listeners->count = kept;
}

void state_listeners_remove(struct state_listeners *listeners, const void *ctx)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->items[i].ctx == ctx)
            listeners->items[i].on_state = NULL;
    }
    if (!listeners->calling)
        close_gaps(listeners);
}

void state_listeners_call(struct state_listeners *listeners, bool up)
{
    size_t count = listeners->count;

    listeners->calling = true;
    for (size_t i = 0; i < count && i < listeners->count; i++) {
        struct state_listener listener = listeners->items[i]; // a call may move the array

        if (listener.on_state != NULL)
            listener.on_state(listener.ctx, up);
    }
    listeners->calling = false;
    close_gaps(listeners);
}
