// Batches of creates and of completions.
#ifndef WORKERS_PACKET_BATCHES_H
#define WORKERS_PACKET_BATCHES_H

#include "broker/rail/parent.h"
#include "broker/rail/service.h"

// A packet.batch-create. max: more elements than this are refused. parents: known to be current.
void batches_create(struct command *command, struct store *store,
                    const struct parent_settings *parents, int64_t max);

// A packet.batch-complete.
void batches_complete(struct command *command, struct store *store);

#endif
