// One shard's stream in Postgres: the audit log, the packets as they are now, and how far it has
// come.
//
// Postgres decides what is new: a batch is written in one transaction together with the place it
// reaches, on the condition that the place it goes on from is where the table has it; what lies at
// or before that place is left out. So a batch may come again, in other pieces, from another
// process or after a crash; every record is stored exactly once. Every row is sealed on the way:
// see broker/seal/seal.h.
//
// One operation at a time. Each ends with one callback on the loop's thread. It knows no NATS: the
// caller feeds it and decides, from the place and the stream, whether the stream is still the one
// that was projected.
#ifndef WORKERS_AUDIT_PROJECTION_H
#define WORKERS_AUDIT_PROJECTION_H

#include "broker/base/id.h"
#include "broker/base/keyring.h"
#include "broker/message/wire.h"
#include "broker/sql/pg.h"
#include "workers/audit/item.h"

// NOTIFY with "<shard> <epoch> <last_seq>" after each commit.
#define PROJECTION_CHANNEL "hr_projected"

// What the session of its pool has to run: a plan that was made while the tables were small would
// be kept when they are large, and cost twice as much (measured).
#define PROJECTION_SESSION "SET plan_cache_mode = force_custom_plan;"

struct projection;

struct projection_place {
    int32_t epoch;             // 0: nothing was ever projected
    uint64_t last_seq;         // everything up to it is stored
    bool has_event;            // there is a record at last_seq
    struct uuid last_event_id; // its event
    int64_t stream_created_us; // which stream it was
};

// RC_UNAVAILABLE, RC_TIMEOUT: it may have happened or not; do it again. RC_CONFLICT: another
// process has moved the place or the epoch, and nothing was written. After each of them the place
// has to be loaded again.
typedef void (*projection_done)(void *ctx, enum rc rc);

// pg: one connection, because the lock belongs to its session; borrowed, and so is ring, whose
// newest key seals the rows.
struct projection *projection_create(struct pg *pg, int32_t shard, const struct keyring *ring);

// NULL is allowed. An operation under way is forgotten, so close pg before.
void projection_destroy(struct projection *projection);

// Takes the shard for this session. RC_CONFLICT: another process has it; ask again later. It is
// lost when pg goes down. Only for thrift: two writers would do no harm, but twice the work.
enum rc projection_lock(struct projection *projection, projection_done done, void *ctx) MUST_CHECK;

// Reads the place. It is also kept up to date by the operations below.
enum rc projection_load(struct projection *projection, projection_done done, void *ctx) MUST_CHECK;

const struct projection_place *projection_place(const struct projection *projection);

// The stream is a new one (fork_seq 0), or has lost what lay behind fork_seq: from here on its
// sequences count again. Nothing is deleted; what the old epoch holds behind fork_seq is orphaned
// from now on (view packet_events_orphaned). reason: for people. RC_CONFLICT: another process was
// faster.
enum rc projection_begin_epoch(struct projection *projection, int64_t stream_created_us,
                               uint64_t fork_seq, const char *reason, projection_done done,
                               void *ctx) MUST_CHECK;

// Which event Postgres has at a sequence, in the newest epoch that has one: to find the fork.
// RC_NOT_FOUND: none.
typedef void (*projection_event_done)(void *ctx, enum rc rc, const struct uuid *event_id);
enum rc projection_event_at(struct projection *projection, uint64_t sequence,
                            projection_event_done done, void *ctx) MUST_CHECK;

// Which of the items the log has, whatever their sequence was then. known: one for each item;
// borrowed for the length of the call. The items are not needed any more when this returns.
typedef void (*projection_known_done)(void *ctx, enum rc rc, const bool *known);
enum rc projection_known(struct projection *projection, const struct projection_item *items,
                         size_t count, projection_known_done done, void *ctx) MUST_CHECK;

// Stores a batch. The items are not needed any more when this returns.
// RC_TOO_LARGE: more bytes than one statement takes; make the batch smaller.
enum rc projection_write(struct projection *projection, const struct projection_item *items,
                         size_t count, projection_done done, void *ctx) MUST_CHECK;

#endif
