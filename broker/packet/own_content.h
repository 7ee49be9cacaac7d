// What a packet holds itself, and the reference by which a child names it.
#ifndef BROKER_PACKET_OWN_CONTENT_H
#define BROKER_PACKET_OWN_CONTENT_H

#include "broker/message/wire.h"

// Borrows from packet.
Hr__OwnPart *own_part_of(const Hr__Packet *packet, Text event_id, struct arena *arena);

// The lower-case hex SHA-256 of the part in JSON, in the arena, and the length of that JSON.
Text own_part_digest(const Hr__OwnPart *part, struct arena *arena, int64_t *bytes);

// The part is the one that was hashed, by this version or by one that did not know of unknown
// members and transcripts: its program read past them.
bool own_part_is(const Hr__OwnPart *part, Text sha256, struct arena *arena);

// The reference to a packet as it is in the record with this sequence and event.
Hr__AncestorRef *own_part_ref(const Hr__Packet *packet, uint64_t sequence, Text event_id,
                              struct arena *arena);

#endif
