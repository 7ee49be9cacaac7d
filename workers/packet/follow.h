// Agents that follow what happens to their tenant's packets.
#ifndef WORKERS_PACKET_FOLLOW_H
#define WORKERS_PACKET_FOLLOW_H

#include "broker/rail/service.h"

// packet.follow: makes, moves or removes the caller's durable consumer.
void follow_start(struct command *command, struct store *store);

#endif
