// Records for the tests, made the way the stream holds them.
#ifndef TESTS_INTEGRATION_SQL_RECORDS_H
#define TESTS_INTEGRATION_SQL_RECORDS_H

#include "tests/integration/sql/lab.h"
#include "workers/audit/projection.h"

// What a test wants to have said of a record; zeroed is a plain creation.
struct wish {
    struct uuid packet_id;
    const char *tenant;  // NULL: "acme"
    const char *type;    // NULL: "created"
    Text actor;          // empty: "agent:a"
    const char *details; // NULL: {}
    Hr__Status status;   // 0: created
    Hr__Priority priority;
    Text source;
    Text target;
    const Text *tags;
    size_t tag_count;
    size_t summary_len;
    int64_t created_us; // 0: 2026-11-20T12:00:00Z
    int64_t at_us;      // 0: created_us
};

#define NOON_US 1795176000000000LL // 2026-11-20T12:00:00Z

// One key, for the life of the program.
const struct keyring *lab_ring(void);

// In the lab's arena.
struct projection_item record_make(struct lab *lab, uint64_t sequence, const struct wish *wish);

// The text of an event or packet id.
const char *id_text(struct lab *lab, const struct uuid *id);

// The id with this number in it.
struct uuid id_number(uint32_t number);

// Runs one operation of a projection to its end.
enum rc do_lock(struct lab *lab, struct projection *projection);
enum rc do_load(struct lab *lab, struct projection *projection);
enum rc do_epoch(struct lab *lab, struct projection *projection, uint64_t fork_seq);
enum rc do_write(struct lab *lab, struct projection *projection,
                 const struct projection_item *items, size_t count);

// A write that is on its way to the server when meanwhile is called.
enum rc do_write_meanwhile(struct lab *lab, struct projection *projection,
                           const struct projection_item *items, size_t count,
                           void (*meanwhile)(void));

// Aborts the test unless what is kept as counts is what counting says.
void check_counts(struct lab *lab);

#endif
