// The audit log to take away: sealed rows, oldest first, a page at a time.
#ifndef WORKERS_QUERY_AUDIT_EXPORT_H
#define WORKERS_QUERY_AUDIT_EXPORT_H

#include "broker/message/problem.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

// What filters and cursors mean is the same as for lists. RC_REFUSED: *problem says why.
enum rc audit_export(struct pg *pg, const char *tenant, const Hr__ExportAudit *request,
                     struct arena *arena, struct problem *problem, query_done done,
                     void *ctx) MUST_CHECK;

#endif
