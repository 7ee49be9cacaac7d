// Walks the index of open checkpoints; filters that are null drop out, as in list.c.
#include "workers/query/awaiting.h"

#include "workers/sql/column.h"

#include <string.h>

#define MATCHES                                                                                    \
    " FROM packets WHERE tenant = $1 AND status = 'awaiting_human'"                                \
    " AND ($2::bigint IS NULL OR approvers = '{}' OR $2 = ANY(approvers))"                         \
    " AND ($3::timestamptz IS NULL OR due_at < $3)"                                                \
    " AND ($4::text IS NULL OR priority = $4)"

static const struct pg_statement page_statement = {
    "awaiting_page",
    "SELECT " PAGE_COLUMNS " FROM ("
    "SELECT packet, seq, due_at, created_at, id,"
    " coalesce(sum(octet_length(packet)) OVER (ORDER BY due_at, created_at, id"
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before FROM ("
    "SELECT packet, seq, due_at, created_at, id" MATCHES
    " ORDER BY due_at, created_at, id LIMIT $5 OFFSET $6) AS page) AS measured"
    " WHERE bytes_before < $7 ORDER BY due_at, created_at, id",
};

static const struct pg_statement count_statement = {
    "awaiting_count",
    "SELECT count(*)" MATCHES,
};

#define FILTERS 4
#define PARAMS 7

struct awaiting {
    struct arena *arena;
    Hr__PacketPage *page;
    query_done done;
    void *ctx;
};

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct awaiting *awaiting = ctx;

    if (rc == RC_OK) {
        awaiting->page->total = pg_get_int(results[1], 0, 0);
        rc = page_read(awaiting->page, awaiting->arena, results[0], pg_rows(results[0]));
    }
    awaiting->done(awaiting->ctx, rc, rc == RC_OK ? &awaiting->page->base : NULL);
}

enum rc awaiting_list(struct pg *pg, const char *tenant, const Hr__ListAwaiting *request,
                      struct arena *arena, query_done done, void *ctx)
{
    struct awaiting *awaiting = arena_calloc(arena, 1, sizeof *awaiting);
    struct pg_param params[PARAMS];
    const struct pg_step steps[] = {
        {&page_statement,  params, PARAMS },
        {&count_statement, params, FILTERS},
    };

    *awaiting = (struct awaiting){arena,
                                  page_create(arena, request->has_limit, request->limit,
                                              request->has_offset, request->offset),
                                  done, ctx};
    params[0] = pg_text(tenant, strlen(tenant));
    params[1] = pg_null(PG_INT8);
    if (request->approver.len > 0)
        params[1] = pg_int8(column_hash(request->approver.data, request->approver.len));
    params[2] = page_time(request->due_before);
    params[3] = page_text(arena, request->has_priority, request->priority);
    params[4] = pg_int8(awaiting->page->limit);
    params[5] = pg_int8(awaiting->page->offset);
    params[6] = pg_int8(PAGE_BYTES_MAX);
    return pg_run(pg, PG_SNAPSHOT, steps, 2, on_rows, awaiting);
}
