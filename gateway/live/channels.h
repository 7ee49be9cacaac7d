// Which changes one listener wants, and which of them it has been told.
//
// A channel is "status:<status>", "packet:<id>" or "agent:<id>" (source or target). Without any,
// a listener wants everything. A channel may be subscribed to with a place in the past: its changes
// behind that place are told once more, but none that another channel has told already. So every
// subscription is kept as a span of the stream, open or ended.
#ifndef GATEWAY_LIVE_CHANNELS_H
#define GATEWAY_LIVE_CHANNELS_H

#include "gateway/live/event.h"

#include <stdbool.h>

#define CHANNEL_MAX 300 // bytes of a channel's name
#define CHANNELS_MAX 64 // open at a time

struct channels;

// Wants everything behind start.
struct channels *channels_create(uint64_t start);

// NULL is allowed.
void channels_destroy(struct channels *channels);

// Everything behind start is wanted, and nothing of it has been told.
void channels_restart(struct channels *channels, uint64_t start);

// What is behind from is wanted of the channel as well; told: how far the listener has been told
// of those it has. A name that is no channel takes part, and nothing ever matches it. False: there
// are too many.
bool channels_add(struct channels *channels, Text name, uint64_t from, uint64_t told);

// Does nothing when there is no such subscription. Without its last channel a listener wants
// everything again, behind told.
void channels_remove(struct channels *channels, Text name, uint64_t told);

// Shall it be told of this change, now that it comes to it?
bool channels_want(const struct channels *channels, const struct live_event *event);

// Does it want everything?
bool channels_want_all(const struct channels *channels);

// "status:created, agent:a", or "all"; in the arena.
const char *channels_names(const struct channels *channels, struct arena *arena);

#endif
