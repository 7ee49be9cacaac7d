// A packet as it was at one moment, wherever that is still known.
#ifndef BROKER_RAIL_VERSION_H
#define BROKER_RAIL_VERSION_H

#include "broker/rail/store.h"

// Loop thread, exactly once. packet: in the arena of the load. RC_NOT_FOUND: neither the stream nor
// Postgres has that version; logged. RC_TIMEOUT, RC_UNAVAILABLE: the stream does not have it, or
// does not answer, and nobody answers for Postgres.
typedef void (*version_loaded_fn)(void *ctx, enum rc rc, Hr__Packet *packet);

// The version that ref names. The stream is asked first; retention and a restored stream leave it
// to the query workers. What ref points to must live until done is called.
void version_load(struct store *store, const char *tenant, const Hr__AncestorRef *ref,
                  struct arena *arena, version_loaded_fn done, void *ctx);

struct version_last {
    Hr__Packet *packet; // in the arena of the load
    uint64_t sequence;  // of the record it is from
    Text event_id;      // likewise
};

// Loop thread, exactly once. last is NULL unless rc is RC_OK. RC_NOT_FOUND: there is no such
// packet. Others: as above.
typedef void (*version_last_fn)(void *ctx, enum rc rc, const struct version_last *last);

// A packet as it was last changed. Of an archived one the stream holds a stub, which names the
// version that was the last before it.
void version_load_last(struct store *store, const char *tenant, const char *packet_id,
                       struct arena *arena, version_last_fn done, void *ctx);

#endif
