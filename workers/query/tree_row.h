// What the tree shows of a packet, out of the beginning of its bytes.
#ifndef WORKERS_QUERY_TREE_ROW_H
#define WORKERS_QUERY_TREE_ROW_H

#include "broker/message/wire.h"

// Bytes of a packet that are read for its row. The agents and the times stand before everything
// that can be long; only agents whose ids and names fill these are not seen whole.
#define TREE_ROW_BYTES 4096

// The metadata of a packed Packet of which data is the beginning: those of its fields that are
// there whole. NULL: none of it is.
Hr__Metadata *tree_row_metadata(struct arena *arena, const void *data, size_t len);

#endif
