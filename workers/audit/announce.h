// Publishes signed heads of the chains: to the stream HR_AUDIT_HEADS and, if wanted, to a file.
// Internal to this folder.
//
// Which chains have moved since their last head stands in the database, so a crash forgets none.
#ifndef WORKERS_AUDIT_ANNOUNCE_H
#define WORKERS_AUDIT_ANNOUNCE_H

#include "broker/base/keyring.h"
#include "broker/run/run.h"
#include "broker/sql/pg.h"

struct announcer;

struct announce_config {
    struct run *run;
    struct pg *pg;
    const struct keyring *ring; // its newest key signs
    unsigned shard;
    const char *file; // a line is appended for every head; NULL: none
    void *ctx;
};

// Everything in config is borrowed.
struct announcer *announce_create(const struct announce_config *config);

// NULL is allowed. pg must be closed, or what is under way must be done.
void announce_destroy(struct announcer *announcer);

// Publishes the heads of all chains that have moved. Goes on in the background; does nothing while
// that is so, except for starting once more when it is done. Only for the process that has the
// shard.
void announce_heads(struct announcer *announcer);

bool announce_is_busy(const struct announcer *announcer);

#endif
