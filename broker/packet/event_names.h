// What a change is called where others hear of it: webhooks, SSE and WebSocket.
#ifndef BROKER_PACKET_EVENT_NAMES_H
#define BROKER_PACKET_EVENT_NAMES_H

#include "broker/message/wire.h"

struct heard {
    const char *name; // "packet.claimed"
    const char *also; // "hitl.requested": another name for the same change; NULL: none
};

// False: nobody is told of such a change. Both names are static.
bool heard_as(struct heard *heard, const Hr__PacketRecord *record);

// Does the change stop the packet for a human? The record must have an event and a packet.
bool heard_asks(const Hr__PacketRecord *record);

// The same names, for those who choose among them. NULL behind the last.
const char *heard_name(size_t index);

#endif
