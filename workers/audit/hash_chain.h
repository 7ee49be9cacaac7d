// Where each tenant's chain of sealed rows stands, and the sealing of a batch. Internal to this
// folder.
//
// What is known here was read from the table, or written to it by us; whether it still holds is
// decided by the transaction that goes on from it (projector_guard in deploy/sql). When a write did
// not succeed, everything is forgotten and read again.
#ifndef WORKERS_AUDIT_CHAINS_H
#define WORKERS_AUDIT_CHAINS_H

#include "broker/seal/seal.h"
#include "broker/sql/row.h"
#include "workers/audit/batch.h"

struct chains;

// What a statement selects for chains_learn, from audit_chains.
#define CHAINS_COLUMNS "tenant, number, mac"

// ring: borrowed.
struct chains *chains_create(const struct keyring *ring, int32_t shard);

// NULL is allowed.
void chains_destroy(struct chains *chains);

// Empties *tenants and fills it with those of the batch whose chains are not known.
void chains_missing(struct chains *chains, const struct batch *batch, struct pg_array *tenants);

// What the table has for them; those that are not in it have no rows yet.
void chains_learn(struct chains *chains, const struct pg_array *tenants,
                  const struct pg_result *rows);

// Of the chains that a batch moves: where they stood, and where they stand afterwards.
enum moved_column {
    MOVED_TENANT,
    MOVED_OLD_NUMBER,
    MOVED_OLD_MAC,
    MOVED_NUMBER,
    MOVED_SEQ,
    MOVED_PART,
    MOVED_MAC_KEY,
    MOVED_MAC,
    MOVED_COLUMNS,
};

// Fills the last columns of the batch, and those of the chains. Everything the batch holds is
// known.
const struct pg_array *chains_seal(struct chains *chains, struct batch *batch, int32_t epoch);

// The sealed batch was written, or perhaps not.
void chains_commit(struct chains *chains);
void chains_forget(struct chains *chains);

#endif
