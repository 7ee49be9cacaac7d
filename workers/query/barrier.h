// Waits until the projection has passed a sequence, so that a reader never misses its own write.
#ifndef WORKERS_QUERY_BARRIER_H
#define WORKERS_QUERY_BARRIER_H

#include "broker/sql/pg.h"

#include <stdbool.h>
#include <stdint.h>

#define BARRIER_MS 2000
#define BARRIER_SHARDS 64
#define BARRIER_SESSION "LISTEN hr_projected;" // what the sessions of its pool have to run

struct barrier;

// RC_OK: everything up to the sequence can be read. RC_TIMEOUT: the projection is behind.
// RC_UNAVAILABLE: Postgres is away.
typedef void (*barrier_done)(void *ctx, enum rc rc);

// One who waits. Belongs to the caller and lives until done is called; its fields are the
// barrier's.
struct barrier_wait {
    struct barrier_wait *next;
    uint64_t min_seq;
    uint64_t deadline_ms;
    int32_t shard;
    barrier_done done;
    void *ctx;
};

// pg: borrowed; its on_notify and on_state have to be passed on to the two functions below.
struct barrier *barrier_open(struct pg *pg, uv_loop_t *loop);

// Those who wait get RC_CLOSED. The memory goes once the loop has run on. NULL is allowed.
void barrier_close(struct barrier *barrier);

void barrier_on_notify(struct barrier *barrier, const char *payload);
void barrier_on_state(struct barrier *barrier, bool up);

// done is called exactly once, perhaps before this returns. min_seq 0 has always been passed.
void barrier_wait(struct barrier *barrier, struct barrier_wait *wait, int32_t shard,
                  uint64_t min_seq, barrier_done done, void *ctx);

#endif
