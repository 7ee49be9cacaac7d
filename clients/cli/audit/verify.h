// Finds out whether the rows of an audit log are what was stored, all of it and nothing else.
//
// Rows come in any interleaving of the chains, each chain in its order; broker/seal/seal.h says
// what they are sealed with. Memory: a little per chain and per head. One thread.
#ifndef CLIENTS_CLI_AUDIT_VERIFY_H
#define CLIENTS_CLI_AUDIT_VERIFY_H

#include "broker/seal/seal.h"

//  kind        what a person is told
#define VERIFY_LIST(X)                                                                             \
    X(SOUND, "sound")                                                                              \
    X(CHANGED, "changed")                                                                          \
    X(DELETED, "deleted")                                                                          \
    X(INSERTED, "inserted")                                                                        \
    X(REORDERED, "reordered")                                                                      \
    X(TRUNCATED, "truncated")                                                                      \
    X(REWRITTEN, "rewritten")                                                                      \
    X(NO_KEY, "no_key")

enum verify_kind {
#define X(name, text) VERIFY_##name,
    VERIFY_LIST(X)
#undef X
        VERIFY_KINDS
};

// What is known of a chain. The place is that of the first row that is not right; of the last right
// one when rows are missing behind it; zero when there is none.
struct verify_finding {
    Text tenant;
    int64_t shard;
    enum verify_kind kind;
    int64_t epoch;
    int64_t seq;
    int64_t part;
    int64_t number;      // of the first row that is missing or not right
    int64_t last_number; // of the last one that is missing
    int64_t rows;        // of the chain that were read
    int64_t unsealed;    // rows from before the chain began: nothing is known of them
    int key;             // NO_KEY: the number of the key that the ring lacks
};

struct verify;

// ring: borrowed.
struct verify *verify_create(const struct keyring *ring);
void verify_destroy(struct verify *verify);

// A chain had come to this head. Before the first row. head->mac and the place are of row number
// count; a signature is not looked at.
void verify_expect(struct verify *verify, const struct seal_head *head);

// Is this head signed with one of the ring's keys?
bool verify_head_is_signed(struct verify *verify, const struct seal_head *head);

void verify_row(struct verify *verify, const struct seal_row *row);

// Behind the last row. Chains of which no row came count only when all is set: otherwise the heads
// may be of more tenants than the rows.
void verify_finish(struct verify *verify, bool all);

// Of the chains, in the order in which they were met; NULL behind the last.
const struct verify_finding *verify_finding(const struct verify *verify, size_t index);

const char *verify_kind_text(enum verify_kind kind);

#endif
