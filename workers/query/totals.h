// Totals of every tenant, for the metrics.
#ifndef WORKERS_QUERY_TOTALS_H
#define WORKERS_QUERY_TOTALS_H

#include "broker/sql/pg.h"
#include "workers/query/page.h"

#define TOTALS_MAX 1000 // tenants, the first by name

// A Totals. tenant NULL: of all tenants.
enum rc totals_get(struct pg *pg, const char *tenant, struct arena *arena, query_done done,
                   void *ctx) MUST_CHECK;

#endif
