// The packets that wait for a human.
#ifndef WORKERS_QUERY_AWAITING_H
#define WORKERS_QUERY_AWAITING_H

#include "broker/rail/bucket.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

// The nearest deadline first, then those without one, the oldest first. An approver may answer what
// its groups may, which keys tell. What is returned instead of RC_OK is final: done is not called.
// RC_UNAVAILABLE: also when the keys are not known.
enum rc awaiting_list(struct pg *pg, const struct bucket *keys, const char *tenant,
                      const Hr__ListAwaiting *request, struct arena *arena, query_done done,
                      void *ctx) MUST_CHECK;

#endif
