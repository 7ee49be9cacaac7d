// What the load generators share: the work, the figures, how they are printed.
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LIFECYCLE_STEPS 4 // create, claim, in_progress, completed

struct load {
    const char *name; // of the run
    long count;       // lifecycles, or appends, to do
    int in_flight;
    long started;
    long finished;
    long failed;      // answers that were not the expected ones
    uint32_t *micros; // of every finished one, for the percentiles
    int64_t start_ns;
    int64_t end_ns;
};

void load_init(struct load *load, const char *name, long count, int in_flight);

// Notes one finished lifecycle (or append), begun at start_ns.
void load_finish(struct load *load, int64_t start_ns);

// One line for people and one of JSON. per: operations in one finished unit, for a rate of those
// too.
void load_print(struct load *load, int per, FILE *out);
void load_fini(struct load *load);

// The JSON body of a create with about 1 KB of context.
const char *load_create_body(void);
const char *load_claim_body(void);
const char *load_status_body(int step); // of steps 2 and 3

#endif
