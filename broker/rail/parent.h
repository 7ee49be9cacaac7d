// The parent that a new packet names, and the limits of the chain it continues.
#ifndef BROKER_RAIL_PARENT_H
#define BROKER_RAIL_PARENT_H

#include "broker/packet/chain.h"
#include "broker/rail/bucket.h"
#include "broker/rail/change.h"

// NOLINTBEGIN(bugprone-macro-parentheses): a member has a name, not a value
// Settings of a program that makes packets with a parent: rows of its cfg_key table. type: the
// program's own struct, member: its struct parent_settings.
#define PARENT_KEYS(type, member)                                                                  \
    CFG_I64(type, member.limits.max_hops, "HR_CHAIN_MAX_HOPS", "64", 1, 10000,                     \
            "hops a chain may have, where the tenant says nothing else"),                          \
        CFG_I64(type, member.limits.max_cycles, "HR_CHAIN_MAX_CYCLES", "2", 1, 10000,              \
                "cycles of the same two agents, likewise"),                                        \
        CFG_I64(type, member.limits.max_repeats, "HR_CHAIN_MAX_REPEATS", "3", 1, 10000,            \
                "times that one agent may have it within the window, likewise"),                   \
        CFG_I64(type, member.limits.window, "HR_CHAIN_WINDOW", "8", 2, 16,                         \
                "agents that are looked at for that, likewise")
// NOLINTEND(bugprone-macro-parentheses)

struct parent_settings {
    const struct bucket *tenants;
    struct loop_limits limits; // of a tenant that says nothing else
    int64_t max_context_bytes; // likewise
};

// Sets parent's limits to those of the tenant.
void parent_set_limits(struct chain_parent *parent, const struct parent_settings *settings,
                       const char *tenant);

// What a create that names a parent needs: the ctx for decide_create_child and, in *check, what
// loads the parent before the decision. *check comes in as the create's own check, or NULL, which
// runs after it. Returns NULL, and leaves *check alone, for a create without a parent. Everything
// lives in the arena, which must be the one of the change.
const void *parent_of_create(const struct parent_settings *settings, const char *tenant,
                             const Hr__CreatePacket *request, struct arena *arena,
                             change_check_fn *check);

#endif
