// Statistics of a tenant, and of all of them.
#ifndef WORKERS_QUERY_NUMBERS_H
#define WORKERS_QUERY_NUMBERS_H

#include "broker/sql/pg.h"
#include "workers/query/page.h"

// A Stats of the tenant.
enum rc numbers_stats(struct pg *pg, const char *tenant, struct arena *arena, query_done done,
                      void *ctx) MUST_CHECK;

// What the program knows itself.
struct numbers_known {
    int64_t connections; // to Postgres
    int64_t webhooks;
};

// The part of a SystemHealth that Postgres knows. tenant NULL: of all tenants.
enum rc numbers_health(struct pg *pg, const char *tenant, const struct numbers_known *known,
                       struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
