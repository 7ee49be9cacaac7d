// Routes of packets that do more than send their command.
#ifndef GATEWAY_PACKETS_H
#define GATEWAY_PACKETS_H

#include "gateway/gateway.h"

// Reads the packet from the stream itself: always current, and no worker is asked.
void packets_get(struct exchange *exchange);

// Waits; a client that goes away meanwhile is given nothing.
void packets_claim_next(struct exchange *exchange);

#endif
