// Loops: agents that hand the same work to each other without end. Pure; docs/chains.md says the
// same to users.
#ifndef BROKER_PACKET_LOOP_H
#define BROKER_PACKET_LOOP_H

#include "broker/message/wire.h"

#define LOOP_PATH_MAX 16 // agents that a packet remembers

struct loop_limits {
    int64_t max_hops;
    int64_t max_cycles;  // of the same two agents alternating; A, B, A is one
    int64_t max_repeats; // of one agent within the window
    int64_t window;      // hops, each for the agent it led to: so many agents at the path's end
};

enum loop {
    LOOP_NONE,
    LOOP_HOPS,
    LOOP_CYCLES,
    LOOP_REPEATS,
    LOOP_DIVERTED, // not by its path: a human was to look at it, and has not let it go on
};

// "max_hops", "max_cycles", "max_repeats": the limit that was exceeded; or "diverted".
const char *loop_name(enum loop loop);

// A loop that led here was brought before a human, and no human has let it go on yet.
bool loop_is_diverted(const Hr__Packet *packet);

// Makes limits as strict as those that are set in more, which may be NULL. A longer window is the
// stricter one.
void loop_tighten(struct loop_limits *limits, const Hr__ChainLimits *more);

// The stricter of two, field by field; NULL when neither sets anything. Either may be NULL.
Hr__ChainLimits *loop_stricter(const Hr__ChainLimits *a, const Hr__ChainLimits *b,
                               struct arena *arena);

// A path of agents, oldest first; the last LOOP_PATH_MAX of them.
struct loop_path {
    Text agents[LOOP_PATH_MAX];
    size_t count;
};

// A packet made by source for target follows on path: source, unless it is the last already, and
// target. An id too long to be remembered 16 times is remembered by its SHA-256.
void loop_go_on(struct loop_path *path, Text source, Text target, struct arena *arena);

// The first limit that a packet with this many hops and this path exceeds.
enum loop loop_check(const struct loop_limits *limits, int64_t hops, const struct loop_path *path);

#endif
