// The commands of the chain worker.
#ifndef WORKERS_CHAIN_CHAIN_H
#define WORKERS_CHAIN_CHAIN_H

#include "broker/base/metrics.h"
#include "broker/rail/parent.h"
#include "broker/rail/service.h"

// What the handlers get as their ctx.
struct chain {
    struct store *store;
    struct parent_settings settings;
    struct metric *depth; // of the follow-ups that were made
};

void chain_on_chain(void *chain, struct command *command);
void chain_on_context(void *chain, struct command *command);

#endif
