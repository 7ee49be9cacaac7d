// Filters that are null drop out, as in list.c.
#include "workers/query/audit_list.h"

#include "workers/query/audit_filter.h"
#include "workers/query/event_row.h"

#include <assert.h>
#include <string.h>

#define DEFAULT_LIMIT 50

#define MATCHES " FROM packet_events WHERE " AUDIT_FILTER

static const struct pg_statement page_statement = {
    "audit_page",
    "SELECT " EVENT_ROW_COLUMNS MATCHES " ORDER BY at DESC, seq DESC, part DESC LIMIT $7 OFFSET $8",
};

static const struct pg_statement count_statement = {
    "audit_count",
    "SELECT count(*)" MATCHES,
};

// The same count when the action is the only filter.
static const struct pg_statement known_count_statement = {
    "audit_known_count",
    "SELECT coalesce(sum(n), 0)::bigint FROM event_counts WHERE tenant = $1"
    " AND ($2::text IS NULL OR type = $2)",
};

#define KNOWN_FILTERS 2
#define PARAMS 8

struct audit {
    struct arena *arena;
    Hr__AuditPage *page;
    query_done done;
    void *ctx;
};

static Hr__AuditEntry *read_entry(struct arena *arena, const struct pg_result *rows, int row)
{
    Hr__AuditEntry *entry = wire_new(arena, &hr__audit_entry__descriptor);
    struct event_row from;

    event_row_read(&from, arena, rows, row);
    entry->has_id = 1;
    entry->id = from.id;
    entry->has_packet_id = 1;
    entry->packet_id = from.packet_id;
    entry->has_actor = 1;
    entry->actor = from.actor;
    entry->has_action = 1;
    entry->action = from.type;
    entry->has_resource = 1;
    entry->resource = text_of("packet");
    entry->details = wire_json(arena, from.details);
    entry->timestamp = wire_timestamp(arena, from.at_us);
    entry->has_key_id = 1;
    entry->key_id = from.key_id;
    entry->has_sequence = 1;
    entry->sequence = from.sequence;
    return entry;
}

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct audit *audit = ctx;
    Hr__AuditPage *page = audit->page;

    if (rc == RC_OK) {
        int count = pg_rows(results[0]);

        page->has_total = 1;
        page->total = pg_get_int(results[1], 0, 0);
        page->entries = arena_calloc(audit->arena, (size_t)count, sizeof(void *));
        for (int row = 0; row < count; row++)
            page->entries[page->n_entries++] = read_entry(audit->arena, results[0], row);
    }
    audit->done(audit->ctx, rc, rc == RC_OK ? &page->base : NULL);
}

enum rc audit_list(struct pg *pg, const char *tenant, const Hr__ListAudit *request,
                   struct arena *arena, query_done done, void *ctx)
{
    struct audit *audit = arena_alloc(arena, sizeof *audit);
    Hr__AuditPage *page = wire_new(arena, &hr__audit_page__descriptor);

    *audit = (struct audit){arena, page, done, ctx};
    page->has_limit = 1;
    page->limit = request->has_limit ? request->limit : DEFAULT_LIMIT;
    page->has_offset = 1;
    page->offset = request->has_offset ? request->offset : 0;
    assert(page->limit > 0 && page->offset >= 0);

    const struct pg_param params[PARAMS] = {
        pg_text(tenant, strlen(tenant)),
        audit_filter_text(arena, request->has_action, request->action),
        audit_filter_text(arena, request->has_actor, request->actor),
        audit_filter_id(request->has_packet_id, request->packet_id),
        audit_filter_time(request->created_after),
        audit_filter_time(request->created_before),
        pg_int8(page->limit),
        pg_int8(page->offset),
    };
    struct pg_step steps[] = {
        {&page_statement,        params, PARAMS       },
        {&known_count_statement, params, KNOWN_FILTERS}
    };

    for (int i = KNOWN_FILTERS; i < AUDIT_FILTERS; i++) {
        if (!params[i].null)
            steps[1] = (struct pg_step){&count_statement, params, AUDIT_FILTERS};
    }
    return pg_run(pg, PG_SNAPSHOT, steps, 2, on_rows, audit);
}
