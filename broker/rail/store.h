// Packet records in the stream: load the last one of a packet, append the next on a condition.
#ifndef BROKER_RAIL_STORE_H
#define BROKER_RAIL_STORE_H

#include "broker/message/wire.h"
#include "broker/nats/request.h"

struct store;

// A record as the stream holds it.
struct stored {
    Hr__PacketRecord *record; // in the arena of the load
    uint64_t sequence;        // its place in the stream: the version of the packet
    size_t len;               // of its bytes
};

// Reads a record's bytes, as they were stored at sequence. RC_CORRUPT: they are none.
enum rc stored_read(struct stored *stored, struct arena *arena, const void *data, size_t len,
                    uint64_t sequence) MUST_CHECK;

// Loop thread, exactly once. RC_NOT_FOUND: no such record. RC_CORRUPT: it cannot be read, logged.
// RC_TIMEOUT, RC_UNAVAILABLE: NATS does not answer.
typedef void (*store_loaded_fn)(void *ctx, enum rc rc, const struct stored *stored);

// Loop thread, exactly once. RC_OK: sequence is that of the new record. RC_CONFLICT: the last
// record of the packet is not the expected one. RC_TIMEOUT, RC_UNAVAILABLE: it may or may not have
// been stored; appending the same bytes under the same condition again is safe and finds out.
// RC_FULL: NATS has no room; nothing was stored. RC_IO: the stream refuses; logged.
typedef void (*store_appended_fn)(void *ctx, enum rc rc, uint64_t sequence);

// inbox: name of this program, first token of its reply subjects. requests must outlive the store.
struct store *store_create(struct requests *requests, const char *inbox);
void store_destroy(struct store *store);

// The stream has replicas, which may be behind its leader: see store_last.
void store_set_replicated(struct store *store, bool replicated);
bool store_is_replicated(const struct store *store);

// What it was created with.
struct requests *store_requests(const struct store *store);
const char *store_inbox(const struct store *store);

// tenant: a safe token. packet_id: a UUID in lower case.
void store_load(struct store *store, const char *tenant, const char *packet_id, struct arena *arena,
                store_loaded_fn done, void *ctx);

// The sequence of the packet's last record as the stream's leader knows it; 0: there is none. A
// load is answered by any replica. What a success is decided on needs no more than that, since the
// append proves it; a refusal must be decided on the leader's last record.
void store_last(struct store *store, const char *tenant, const char *packet_id,
                store_appended_fn done, void *ctx);

// As store_load, and RC_NOT_FOUND is the leader's word.
void store_load_sure(struct store *store, const char *tenant, const char *packet_id,
                     struct arena *arena, store_loaded_fn done, void *ctx);

// The record at one sequence; RC_NOT_FOUND also when it belongs to another packet.
void store_load_at(struct store *store, const char *tenant, const char *packet_id,
                   uint64_t sequence, struct arena *arena, store_loaded_fn done, void *ctx);

// A record to be stored. Everything is borrowed for the length of the call.
struct append {
    const char *tenant;
    const char *packet_id;
    uint64_t expected; // sequence of the packet's last record; 0: the packet must not exist
    bool restored;     // it was stored before, in an earlier life of the stream
    const void *data;
    size_t len;
};

void store_append(struct store *store, const struct append *append, store_appended_fn done,
                  void *ctx);

// Asks for the last sequence of a shard's stream; 0 when it is empty. RC_TIMEOUT, RC_UNAVAILABLE:
// NATS does not answer. RC_IO: the answer is not understood; logged.
void store_end(struct store *store, unsigned shard, store_appended_fn done, void *ctx);

#endif
