// The commands of the chain worker.
#ifndef WORKERS_CHAIN_CHAIN_H
#define WORKERS_CHAIN_CHAIN_H

#include "broker/bucket.h"
#include "broker/metrics.h"
#include "broker/packet/loop.h"
#include "broker/service.h"

// What the handlers get as their ctx.
struct chain {
    struct store *store;
    const struct bucket *tenants;
    struct loop_limits limits; // of a tenant that says nothing else
    int64_t max_context_bytes; // likewise
    struct metric *depth;      // of the follow-ups that were made
};

void chain_on_chain(void *chain, struct command *command);
void chain_on_context(void *chain, struct command *command);

#endif
