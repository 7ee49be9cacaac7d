// One statement for every combination of filters: a filter that is null drops out, because with
// force_custom_plan the planner sees the values and folds "null IS NULL OR ..." to true. What is
// left is planned for exactly the filters that were given and walks the index that fits.
#include "workers/query/list.h"

#include "broker/message/check.h"
#include "broker/sql/column.h"
#include "workers/query/cursor.h"
#include "workers/query/page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MATCHES                                                                                    \
    " FROM packets WHERE tenant = $1"                                                              \
    " AND ($2::text IS NULL OR status = $2)"                                                       \
    " AND ($3::text[] IS NULL OR status = ANY($3))"                                                \
    " AND ($4::text IS NULL OR source_agent = $4)"                                                 \
    " AND ($5::text IS NULL OR target_agent = $5)"                                                 \
    " AND ($6::text IS NULL OR priority = $6)"                                                     \
    " AND ($7::text[] IS NULL OR tags @> $7)"                                                      \
    " AND ($8::timestamptz IS NULL OR created_at >= $8)"                                           \
    " AND ($9::timestamptz IS NULL OR created_at <= $9)"

// Sizes are summed up before the packets are sent, so that a page of huge ones is cut by the
// server. fetched counts what there was before the cut: one more than the page means there is a
// next one.
static const struct pg_statement page_statement = {
    "list_page",
    "SELECT " PAGE_COLUMNS ", fetched, id, created_at FROM ("
    "SELECT id, created_at, packet, seq, count(*) OVER () AS fetched,"
    " coalesce(sum(octet_length(packet)) OVER (ORDER BY created_at DESC, id DESC"
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before FROM ("
    "SELECT id, created_at, packet, seq" MATCHES
    " AND ($10::timestamptz IS NULL OR (created_at, id) < ($10, $11::uuid))"
    " ORDER BY created_at DESC, id DESC LIMIT $12 OFFSET $13"
    ") AS page) AS measured WHERE bytes_before < $14 ORDER BY created_at DESC, id DESC",
};

static const struct pg_statement count_statement = {
    "list_count",
    "SELECT count(*)" MATCHES,
};

// The same count when status is the only filter.
static const struct pg_statement known_count_statement = {
    "list_known_count",
    "SELECT coalesce(sum(n), 0)::bigint FROM packet_counts WHERE tenant = $1"
    " AND ($2::text IS NULL OR status = $2) AND ($3::text[] IS NULL OR status = ANY($3))",
};

#define KNOWN_FILTERS 3
#define FILTERS 9 // parameters of MATCHES
#define PARAMS 14 // and of the page

struct list {
    struct arena *arena;
    Hr__PacketPage *page;
    int64_t total; // -1: to be counted
    query_done done;
    void *ctx;
};

static enum rc fill_page(struct list *list, const struct pg_result *rows)
{
    Hr__PacketPage *page = list->page;
    int count = pg_rows(rows);
    int64_t fetched = count > 0 ? pg_get_int(rows, 0, 2) : 0;

    if (count > page->limit)
        count = (int)page->limit;
    page->has_total = 1;
    page->total = list->total;
    if (fetched > count) {
        struct cursor cursor = {pg_get_timestamp_us(rows, count - 1, 4),
                                pg_get_uuid(rows, count - 1, 3), list->total};
        char *text = arena_alloc(list->arena, CURSOR_TEXT_BYTES);

        cursor_format(text, &cursor);
        page->has_next_cursor = 1;
        page->next_cursor = text_of(text);
    }
    return page_read(page, list->arena, rows, count);
}

static void on_page(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct list *list = ctx;

    if (rc == RC_OK) {
        if (list->total < 0)
            list->total = pg_get_int(results[1], 0, 0);
        rc = fill_page(list, results[0]);
    }
    list->done(list->ctx, rc, rc == RC_OK ? &list->page->base : NULL);
}

static enum rc set_filters(struct pg_param params[FILTERS], struct pg_array arrays[2],
                           const char *tenant, const Hr__ListPackets *request, struct arena *arena)
{
    enum rc rc;

    params[0] = pg_text(tenant, strlen(tenant));
    params[1] = pg_null(PG_TEXT);
    rc = page_list(&arrays[0], &params[1], &params[2], arena, request->status, false);
    if (rc != RC_OK)
        return rc;
    params[3] = page_text(arena, request->has_source_agent, request->source_agent);
    params[4] = page_text(arena, request->has_target_agent, request->target_agent);
    params[5] = page_text(arena, request->has_priority, request->priority);
    rc = page_list(&arrays[1], NULL, &params[6], arena, request->tags, true);
    params[7] = page_time(request->created_after);
    params[8] = page_time(request->created_before);
    return rc;
}

// Runs the page, and the count unless the cursor knows it already: then both see the same state.
static enum rc run(struct pg *pg, struct list *list, const struct pg_param params[PARAMS])
{
    struct pg_step steps[] = {
        {&page_statement,        params, PARAMS       },
        {&known_count_statement, params, KNOWN_FILTERS}
    };

    for (int i = KNOWN_FILTERS; i < FILTERS; i++) {
        if (!params[i].null)
            steps[1] = (struct pg_step){&count_statement, params, FILTERS};
    }
    if (list->total >= 0)
        return pg_run(pg, PG_SINGLE, steps, 1, on_page, list);
    return pg_run(pg, PG_SNAPSHOT, steps, 2, on_page, list);
}

enum rc list_packets(struct pg *pg, const char *tenant, const Hr__ListPackets *request,
                     struct arena *arena, struct problem *problem, query_done done, void *ctx)
{
    struct list *list = arena_calloc(arena, 1, sizeof *list);
    struct cursor cursor = {.total = -1};
    bool has_cursor = request->has_cursor && request->cursor.len > 0;
    struct pg_param params[PARAMS];
    struct pg_array arrays[2];
    enum rc rc;

    if (has_cursor && cursor_parse(&cursor, request->cursor.data, request->cursor.len) != RC_OK)
        return problem_set(problem, arena, PROBLEM_INVALID_CURSOR, "Invalid cursor");
    *list = (struct list){arena, wire_new(arena, &hr__packet_page__descriptor), cursor.total, done,
                          ctx};
    list->page->has_limit = 1;
    list->page->limit = request->has_limit ? request->limit : PAGE_DEFAULT;
    list->page->has_offset = 1;
    list->page->offset = request->has_offset ? request->offset : 0;
    assert(list->page->limit > 0 && list->page->offset >= 0);

    pg_array_init(&arrays[0], PG_TEXT);
    pg_array_init(&arrays[1], PG_TEXT);
    rc = set_filters(params, arrays, tenant, request, arena);
    params[9] = has_cursor ? pg_timestamptz(cursor.created_us) : pg_null(PG_TIMESTAMPTZ);
    params[10] = has_cursor ? pg_uuid(&cursor.id) : pg_null(PG_UUID);
    params[11] = pg_int8(list->page->limit + 1);
    params[12] = pg_int8(has_cursor ? 0 : list->page->offset);
    params[13] = pg_int8(PAGE_BYTES_MAX);
    if (rc == RC_OK)
        rc = run(pg, list, params);
    pg_array_fini(&arrays[0]);
    pg_array_fini(&arrays[1]);
    return rc;
}
