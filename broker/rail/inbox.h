// Hints to agents: a packet waits for you.
#ifndef BROKER_RAIL_INBOX_H
#define BROKER_RAIL_INBOX_H

#include "broker/rail/store.h"

// Publishes one if the change, just stored, has left the packet waiting for its target agent. A
// hint may be lost, and is if the agent's id is no safe token.
void inbox_tell(struct store *store, const char *tenant, const struct stored *stored);

// Whom such a hint is for; len 0: there is none to give.
Text inbox_agent(const Hr__PacketRecord *record);

#endif
