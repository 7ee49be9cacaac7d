// Every check is over at most 16 agents, so nothing here depends on how long a chain is.
#include "broker/packet/loop.h"

#include "broker/base/digest.h"

#include <string.h>

// An agent's id is as long as a client likes. 16 of these fit into every packet of a chain.
#define AGENT_BYTES_MAX 128

static const char *const names[] = {
    [LOOP_NONE] = "none",           [LOOP_HOPS] = "max_hops",     [LOOP_CYCLES] = "max_cycles",
    [LOOP_REPEATS] = "max_repeats", [LOOP_DIVERTED] = "diverted",
};

const char *loop_name(enum loop loop)
{
    return names[loop];
}

bool loop_is_diverted(const Hr__Packet *packet)
{
    return packet->lineage != NULL && packet->lineage->has_diverted_by_key;
}

static void lower(int64_t *limit, bool has, int64_t other)
{
    if (has && other < *limit)
        *limit = other;
}

void loop_tighten(struct loop_limits *limits, const Hr__ChainLimits *more)
{
    if (more == NULL)
        return;
    lower(&limits->max_hops, more->has_max_hops, more->max_hops);
    lower(&limits->max_cycles, more->has_max_cycles, more->max_cycles);
    lower(&limits->max_repeats, more->has_max_repeats, more->max_repeats);
    if (more->has_window && more->window > limits->window)
        limits->window = more->window;
}

// As strict as can be said: nothing is set that neither of them sets.
Hr__ChainLimits *loop_stricter(const Hr__ChainLimits *a, const Hr__ChainLimits *b,
                               struct arena *arena)
{
    struct loop_limits limits = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MIN};
    Hr__ChainLimits *result;

    loop_tighten(&limits, a);
    loop_tighten(&limits, b);
    result = wire_new(arena, &hr__chain_limits__descriptor);
    result->has_max_hops = limits.max_hops != INT64_MAX;
    result->max_hops = limits.max_hops;
    result->has_max_cycles = limits.max_cycles != INT64_MAX;
    result->max_cycles = limits.max_cycles;
    result->has_max_repeats = limits.max_repeats != INT64_MAX;
    result->max_repeats = limits.max_repeats;
    result->has_window = limits.window != INT64_MIN;
    result->window = limits.window;
    if (!result->has_max_hops && !result->has_max_cycles && !result->has_max_repeats &&
        !result->has_window)
        return NULL;
    return result;
}

static Text remembered(Text agent, struct arena *arena)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];

    if (agent.len <= AGENT_BYTES_MAX)
        return agent;
    digest_of(digest, agent.data, agent.len);
    hex_format(hex, digest, sizeof digest);
    return text_of(arena_printf(arena, "sha256:%s", hex));
}

static void add(struct loop_path *path, Text agent)
{
    if (path->count == LOOP_PATH_MAX) {
        memmove(path->agents, path->agents + 1, (LOOP_PATH_MAX - 1) * sizeof path->agents[0]);
        path->count--;
    }
    path->agents[path->count++] = agent;
}

void loop_go_on(struct loop_path *path, Text source, Text target, struct arena *arena)
{
    source = remembered(source, arena);
    if (path->count == 0 || !text_equal(path->agents[path->count - 1], source))
        add(path, source);
    add(path, remembered(target, arena));
}

// How often the last two agents, if they are two, came back to where they began: A, B, A is once.
static int64_t cycles(const struct loop_path *path)
{
    size_t count = path->count;
    size_t tail = 2;

    if (count < 2 || text_equal(path->agents[count - 1], path->agents[count - 2]))
        return 0;
    while (tail < count &&
           text_equal(path->agents[count - 1 - tail], path->agents[count + 1 - tail]))
        tail++;
    return (int64_t)(tail - 1) / 2;
}

static int64_t most_repeats(const struct loop_path *path, int64_t window)
{
    size_t first = (int64_t)path->count > window ? path->count - (size_t)window : 0;
    int64_t most = 0;

    for (size_t i = first; i < path->count; i++) {
        int64_t same = 0;

        for (size_t k = first; k < path->count; k++)
            same += text_equal(path->agents[i], path->agents[k]);
        if (same > most)
            most = same;
    }
    return most;
}

enum loop loop_check(const struct loop_limits *limits, int64_t hops, const struct loop_path *path)
{
    if (hops > limits->max_hops)
        return LOOP_HOPS;
    if (cycles(path) > limits->max_cycles)
        return LOOP_CYCLES;
    if (most_repeats(path, limits->window) > limits->max_repeats)
        return LOOP_REPEATS;
    return LOOP_NONE;
}
