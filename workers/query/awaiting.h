// The packets that wait for a human.
#ifndef WORKERS_QUERY_AWAITING_H
#define WORKERS_QUERY_AWAITING_H

#include "workers/query/page.h"
#include "workers/sql/pg.h"

// The nearest deadline first, then those without one, the oldest first. What is returned instead of
// RC_OK is final: done is not called.
enum rc awaiting_list(struct pg *pg, const char *tenant, const Hr__ListAwaiting *request,
                      struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
