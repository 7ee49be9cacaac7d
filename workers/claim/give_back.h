// Gives a packet back that claim-next gave to a requester who was not there any more.
#ifndef WORKERS_CLAIM_GIVE_BACK_H
#define WORKERS_CLAIM_GIVE_BACK_H

#include "broker/nats/request.h"
#include "broker/rail/service.h"

struct give_back;

// requests, store: borrowed. Registers a metric: once in a program.
struct give_back *give_back_create(struct requests *requests, struct store *store);

// NULL is allowed. Nothing may be watched.
void give_back_destroy(struct give_back *give_back);

// How many answers are watched, or packets given back.
size_t give_back_in_hand(const struct give_back *give_back);

// The command is about to be answered with this packet, claimed for agent_id. If nobody takes the
// answer, the claim is released, provided that it is still this one.
void give_back_watch(struct give_back *give_back, struct command *command, Text agent_id,
                     const struct stored *claimed);

#endif
