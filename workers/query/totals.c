// From counts that the projection keeps; only dead letters are counted, in an index of their own.
#include "workers/query/totals.h"

#include <string.h>

#define OF_TENANT "($1::text IS NULL OR tenant = $1)"

static const struct pg_statement tenants_statement = {
    "totals_tenants",
    "SELECT tenant, coalesce(handoffs, 0), coalesce(checkpoints, 0), coalesce(responses, 0),"
    " coalesce(dead, 0) FROM"
    " (SELECT tenant, (sum(n) FILTER (WHERE type = 'created'))::bigint AS handoffs,"
    " sum(asked)::bigint AS checkpoints,"
    " (sum(n) FILTER (WHERE type IN ('hitl_voted', 'hitl_responded')))::bigint AS responses"
    " FROM event_counts WHERE " OF_TENANT " GROUP BY tenant) AS events FULL JOIN"
    " (SELECT tenant, count(*) AS dead FROM webhook_deliveries"
    " WHERE " OF_TENANT " AND status = 'dead_letter' GROUP BY tenant) AS letters USING (tenant)"
    " ORDER BY tenant LIMIT $2",
};

static const struct pg_statement statuses_statement = {
    "totals_statuses",
    "SELECT status, sum(n)::bigint FROM packet_counts WHERE " OF_TENANT
    " GROUP BY status ORDER BY status",
};

struct question {
    struct arena *arena;
    query_done done;
    void *ctx;
};

static Text text_at(struct arena *arena, const struct pg_result *rows, int row)
{
    size_t len;
    const void *data = pg_get_bytes(rows, row, 0, &len);

    return text_copy(arena, data, len);
}

static void read_tenants(Hr__Totals *totals, struct arena *arena, const struct pg_result *rows)
{
    int count = pg_rows(rows);

    totals->tenants = arena_calloc(arena, (size_t)count + 1, sizeof(void *));
    for (int row = 0; row < count; row++) {
        Hr__TenantTotals *tenant = wire_new(arena, &hr__tenant_totals__descriptor);

        tenant->has_tenant = tenant->has_handoffs = tenant->has_checkpoints = true;
        tenant->has_responses = tenant->has_dead_letters = true;
        tenant->tenant = text_at(arena, rows, row);
        tenant->handoffs = pg_get_int(rows, row, 1);
        tenant->checkpoints = pg_get_int(rows, row, 2);
        tenant->responses = pg_get_int(rows, row, 3);
        tenant->dead_letters = pg_get_int(rows, row, 4);
        totals->tenants[totals->n_tenants++] = tenant;
    }
}

static void read_statuses(Hr__Totals *totals, struct arena *arena, const struct pg_result *rows)
{
    int count = pg_rows(rows);

    totals->statuses = arena_calloc(arena, (size_t)count + 1, sizeof(void *));
    for (int row = 0; row < count; row++) {
        Hr__StatusTotal *status = wire_new(arena, &hr__status_total__descriptor);

        status->has_status = status->has_packets = true;
        status->status = text_at(arena, rows, row);
        status->packets = pg_get_int(rows, row, 1);
        totals->statuses[totals->n_statuses++] = status;
    }
}

static void on_totals(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct question *question = ctx;
    Hr__Totals *totals;

    if (rc != RC_OK) {
        question->done(question->ctx, rc, NULL);
        return;
    }
    totals = wire_new(question->arena, &hr__totals__descriptor);
    read_tenants(totals, question->arena, results[0]);
    read_statuses(totals, question->arena, results[1]);
    question->done(question->ctx, RC_OK, &totals->base);
}

enum rc totals_get(struct pg *pg, const char *tenant, struct arena *arena, query_done done,
                   void *ctx)
{
    struct question *question = arena_alloc(arena, sizeof *question);
    const struct pg_param params[] = {
        tenant != NULL ? pg_text(tenant, strlen(tenant)) : pg_null(PG_TEXT),
        pg_int8(TOTALS_MAX),
    };
    const struct pg_step steps[] = {
        {&tenants_statement,  params, 2},
        {&statuses_statement, params, 1},
    };

    *question = (struct question){arena, done, ctx};
    return pg_run(pg, PG_SNAPSHOT, steps, 2, on_totals, question);
}
