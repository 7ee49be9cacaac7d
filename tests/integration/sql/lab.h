// What the tests against a real Postgres share: a database of their own, a loop that runs until
// something has happened, and records to project.
#ifndef TESTS_INTEGRATION_SQL_LAB_H
#define TESTS_INTEGRATION_SQL_LAB_H

#include "broker/base/arena.h"
#include "broker/sql/pg.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct lab {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;      // the deadline passed
    char *conninfo; // of this test's own database
    struct pg *pg;  // NULL until lab_connect
    bool up;        // what on_state said last
    int downs;      // how often it said false
    char *notified; // payload of the last NOTIFY
    struct arena *arena;
};

// Makes the database, with the schema in it when migrated is set. Aborts the test when it cannot.
void lab_open(struct lab *lab, bool migrated);
void lab_close(struct lab *lab);

// Opens lab->pg and waits until it is up.
void lab_connect(struct lab *lab, int connections, int timeout_ms, const char *session);

// Runs the loop until *flag, at most ms. Returns *flag.
bool lab_until(struct lab *lab, const bool *flag, int ms);

// Runs the loop for ms.
void lab_pause(struct lab *lab, int ms);

// Milliseconds of a clock that only grows.
int64_t lab_now_ms(void);

// One statement in psql's manner, on a connection of its own; returns the first column of the first
// row, "" without one. The text lives until the lab closes.
const char *lab_sql(struct lab *lab, const char *sql);

// Kills the server as a power cut would, and keeps it away until lab_revive. For tests that have a
// cluster to themselves.
void lab_kill(struct lab *lab);
void lab_revive(struct lab *lab);

// The answer to one query.
struct lab_answer {
    bool done;
    enum rc rc;
    int calls;
};

// A pg_on_done that only takes note; ctx is a struct lab_answer.
void lab_on_done(void *ctx, enum rc rc, const struct pg_result *const *results);

#endif
