// The schema: numbered SQL files that are part of the program.
#ifndef BROKER_SQL_MIGRATE_H
#define BROKER_SQL_MIGRATE_H

#include "broker/base/rc.h"

#include <stddef.h>
#include <stdint.h>

// A file of deploy/sql.
struct sql_file {
    int version;
    const char *name; // without .sql
    const char *text; // a NUL stands behind it
    size_t len;
};

// Rising versions; version 0 ends the list.
extern const struct sql_file sql_files[];

// Applies the files that the database does not have yet, each in its own transaction. Any number of
// processes may do so at the same time. Blocks, so call it before the loop runs. Keeps trying to
// connect for patience_ms.
// RC_UNAVAILABLE: no connection in that time. RC_CONFIG: conninfo cannot be read, or a file that
// was applied has changed since. RC_INTERNAL: a file failed; the database is as it was before that
// file.
enum rc migrate_apply(const char *conninfo, const struct sql_file *files,
                      int64_t patience_ms) MUST_CHECK;

#endif
