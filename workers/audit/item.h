// One record of the stream on its way into Postgres. Internal to this folder.
#ifndef WORKERS_AUDIT_ITEM_H
#define WORKERS_AUDIT_ITEM_H

#include "broker/message/wire.h"

// A message of the stream.
struct projection_item {
    uint64_t sequence;              // rising within a batch; gaps are allowed
    Text tenant;                    // from its subject
    const Hr__PacketRecord *record; // NULL: the bytes are no record; they are stored all the same
    Text data;                      // the bytes
    bool restored;                  // perhaps the log has it, from an earlier life of the stream
    bool known;                     // it has: only the packet's place is new
};

#endif
