// Postgres on a libuv loop: a pool of connections that never blocks and heals itself.
//
// Everything runs on the loop's thread. While no connection is up a query is refused at once, so
// that callers can tell their clients instead of making them wait.
#ifndef BROKER_SQL_PG_H
#define BROKER_SQL_PG_H

#include "broker/base/rc.h"
#include "broker/sql/statement.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct pg;

struct pg_options {
    const char *conninfo;    // URL or key=value list, as libpq reads it; copied
    const char *application; // shown in pg_stat_activity unless conninfo names one; copied
    const char *session;     // SQL that every new connection runs first; copied; NULL: none
    int connections;         // 1..64
    int timeout_ms;          // of one query, waiting for a connection included; 0: 5000
    bool is_short;           // opened for one question: its coming and going is no news

    // Called with true when the first connection is up and false when the last is gone, NULL
    // allowed. A session and what it held (advisory locks) did not survive in between.
    void (*on_state)(void *ctx, bool up);
    // A NOTIFY on a channel that session listens to; NULL allowed.
    void (*on_notify)(void *ctx, const char *channel, const char *payload);
    void *ctx;
};

// Starts connecting. The pool is usable, and refuses queries, before anything is up.
// RC_CONFIG: conninfo cannot be read.
enum rc pg_open(struct pg **pg, uv_loop_t *loop, const struct pg_options *options) MUST_CHECK;

// Every query that is not done gets RC_CLOSED before this returns. The memory goes once the loop
// has run on; on_closed (NULL allowed) is the last thing called. NULL pg is allowed: nothing
// happens.
void pg_close(struct pg *pg, void (*on_closed)(void *ctx), void *ctx);

bool pg_is_up(const struct pg *pg);

// Sends the steps in one round trip. on_done is called exactly once, later, if and only if this
// returns RC_OK. RC_UNAVAILABLE: no connection, or 1000 others wait already. RC_CLOSED: pg_close.
enum rc pg_run(struct pg *pg, enum pg_mode mode, const struct pg_step *steps, int count,
               pg_on_done on_done, void *ctx) MUST_CHECK;

// pg_run of one statement.
enum rc pg_query(struct pg *pg, const struct pg_statement *statement, const struct pg_param *params,
                 int param_count, pg_on_done on_done, void *ctx) MUST_CHECK;

#endif
