// audit.list: a tenant's events, newest first.
#ifndef WORKERS_QUERY_AUDIT_LIST_H
#define WORKERS_QUERY_AUDIT_LIST_H

#include "broker/message/wire.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

// request: its numbers are within their bounds. arena: lives until done is called, which happens if
// and only if this returns RC_OK. RC_UNAVAILABLE: Postgres is away.
enum rc audit_list(struct pg *pg, const char *tenant, const Hr__ListAudit *request,
                   struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
