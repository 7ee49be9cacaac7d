// A record without what its packet carries.
//
// Indexes and timers look at a packet's state alone, while most of its bytes are context. Taking
// those out before the record is read makes following a stream several times cheaper.
#ifndef BROKER_PACKET_SUMMARY_H
#define BROKER_PACKET_SUMMARY_H

#include "broker/message/text.h"

// The bytes of a PacketRecord without the memory of changes, and without its packet's context,
// decisions, actions, dependencies and lineage; in the arena. Bytes that are no record come back as
// they are.
Text head_of(struct arena *arena, const void *data, size_t len);

#endif
