// What can be sent to Postgres, and how its end is reported.
#ifndef BROKER_SQL_STATEMENT_H
#define BROKER_SQL_STATEMENT_H

#include "broker/base/rc.h"
#include "broker/sql/param.h"
#include "broker/sql/row.h"

// One SQL text. Lives forever: connections remember its address once they have prepared it.
struct pg_statement {
    const char *name; // unique in the program; for the server and for the log
    const char *sql;  // parameters are $1, $2, ...
};

struct pg_step {
    const struct pg_statement *statement;
    const struct pg_param *params; // borrowed until pg_run returns
    int param_count;
};

enum pg_mode {
    PG_SINGLE,   // one step, its own transaction
    PG_WRITE,    // all steps or none
    PG_SNAPSHOT, // all steps read the same state
};

// results[i] belongs to step i; all are gone when the callback returns. NULL unless rc is RC_OK.
// RC_UNAVAILABLE: the connection broke, and a write may have happened or not. RC_TIMEOUT: the same.
// RC_CLOSED: pg_close. Other codes: the server refused, and nothing was written.
typedef void (*pg_on_done)(void *ctx, enum rc rc, const struct pg_result *const *results);

#endif
