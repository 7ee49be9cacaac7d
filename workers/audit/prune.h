// Old deliveries go out of Postgres, a bounded number at a time. The stream HR_DELIVERIES forgets
// them by itself, and before.
#ifndef WORKERS_AUDIT_PRUNE_H
#define WORKERS_AUDIT_PRUNE_H

#include "broker/sql/pg.h"

struct prune;

// pg: borrowed, must stay until prune_close. days: how long a delivery is kept after its last
// change.
struct prune *prune_open(uv_loop_t *loop, struct pg *pg, int64_t days);

// The schema is there and the connection stands: begins at once, and goes on every hour.
void prune_begin(struct prune *prune);
void prune_pause(struct prune *prune);

// After pg_close. NULL is allowed.
void prune_close(struct prune *prune);

#endif
