// What a listener is, for those who have one and for those who make it.
#ifndef GATEWAY_LIVE_TYPES_H
#define GATEWAY_LIVE_TYPES_H

#include "gateway/live/channels.h"

#include <stdbool.h>
#include <stdint.h>

#define LISTENER_EVENTS_MAX 1000 // that wait for its client to take them
#define LISTENER_BYTES_MAX (256 * 1024)

struct live;
struct listener;

enum listener_state {
    LISTENER_STARTING, // not yet known where the stream is
    LISTENER_HEARS,
    LISTENER_SLOW,     // ended: its client does not keep up
    LISTENER_RESET,    // ended: the stream has lost what the listener was told
    LISTENER_SHUTDOWN, // ended: so is the gateway
};

struct listener_config {
    const char *tenant; // safe token; copied
    bool resumes;       // goes on behind since; otherwise it begins with what happens next
    uint64_t since;
    struct channels *channels; // of the caller; restarted once the place is known
    // Loop thread: there is something to take, or its state has changed. Must not close it.
    void (*on_ready)(void *ctx);
    // Loop thread: something that is no change of a packet, one line of JSON; only told to a
    // listener that wants everything. Must not close it.
    void (*on_notice)(void *ctx, const char *type, Text json);
    // Loop thread, about once a second. May close it.
    void (*on_tick)(void *ctx);
    void *ctx;
};

#endif
