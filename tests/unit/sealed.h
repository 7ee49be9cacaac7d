// A sealed log in memory, for the tests of what checks one.
#ifndef TESTS_UNIT_SEALED_H
#define TESTS_UNIT_SEALED_H

#include "broker/seal/seal.h"

#define SEALED_KEYS                                                                                \
    "1 the-first-key-of-the-tests-of-chains\n2 the-second-key-of-the-tests-of-chains\n"

// One ring for the program, with the keys 1 and 2.
const struct keyring *sealed_ring(void);

// Fills rows with a chain: sequences 10, 20, ...; row 5 has part 1 of row 4's sequence; epoch 2
// begins at row number epoch_at, with smaller sequences (0: never). Key 2 seals from key_at on (0:
// never).
void sealed_fill(struct seal_row *rows, size_t count, const char *tenant, size_t epoch_at,
                 size_t key_at);

// Seals one row behind another; NULL: the first.
void sealed_row(struct seal_row *row, const struct seal_row *before);

// The signed head of a row.
struct seal_head sealed_head(const struct seal_row *row);

#endif
