// The words are in a table of their own; packets are read for those on the page only.
#include "workers/query/search.h"

#include "workers/query/search_text.h"
#include "workers/sql/column.h"

#include <string.h>

#define MATCHES                                                                                    \
    " FROM packet_texts t JOIN packets p ON p.tenant = t.tenant AND p.id = t.id"                   \
    " WHERE t.tenant = $1 AND t.words @@ to_tsquery('handoffrail', $2)"                            \
    " AND ($3::text IS NULL OR p.status = $3)"                                                     \
    " AND ($4::text[] IS NULL OR p.status = ANY($4))"                                              \
    " AND ($5::text IS NULL OR p.priority = $5)"

// Weights of D, C, B, A: talk, nothing, reasons, title. 1: longer texts weigh less, by the
// logarithm.
#define RANK "ts_rank_cd('{0.1, 0.2, 0.4, 1.0}', t.words, to_tsquery('handoffrail', $2), 1)"

static const struct pg_statement page_statement = {
    "search_page",
    "SELECT " PAGE_COLUMNS " FROM ("
    "SELECT packet, seq, rank, created_at, id,"
    " coalesce(sum(octet_length(packet)) OVER (ORDER BY rank DESC, created_at DESC, id DESC"
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before FROM ("
    "SELECT t.id, p.created_at, " RANK " AS rank" MATCHES
    " ORDER BY rank DESC, p.created_at DESC, t.id DESC LIMIT $6 OFFSET $7) AS best"
    " JOIN packets USING (id, created_at) WHERE tenant = $1) AS measured WHERE bytes_before < $8"
    " ORDER BY rank DESC, created_at DESC, id DESC",
};

static const struct pg_statement count_statement = {
    "search_count",
    "SELECT count(*)" MATCHES,
};

#define FILTERS 5
#define PARAMS 8

struct search {
    struct arena *arena;
    Hr__PacketPage *page;
    query_done done;
    void *ctx;
};

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct search *search = ctx;

    if (rc == RC_OK) {
        search->page->total = pg_get_int(results[1], 0, 0);
        rc = page_read(search->page, search->arena, results[0], pg_rows(results[0]));
    }
    search->done(search->ctx, rc, rc == RC_OK ? &search->page->base : NULL);
}

enum rc search_packets(struct pg *pg, const char *tenant, const Hr__SearchPackets *request,
                       struct arena *arena, query_done done, void *ctx)
{
    struct search *search = arena_calloc(arena, 1, sizeof *search);
    Text query = search_text(arena, request->q);
    struct pg_param params[PARAMS];
    struct pg_array statuses;
    enum rc rc;

    *search = (struct search){arena,
                              page_create(arena, request->has_limit, request->limit,
                                          request->has_offset, request->offset),
                              done, ctx};
    pg_array_init(&statuses, PG_TEXT);
    params[0] = pg_text(tenant, strlen(tenant));
    params[1] = column_text(arena, query.data, query.len);
    params[2] = pg_null(PG_TEXT);
    rc = page_list(&statuses, &params[2], &params[3], arena, request->status, true);
    params[4] = page_text(arena, request->has_priority, request->priority);
    params[5] = pg_int8(search->page->limit);
    params[6] = pg_int8(search->page->offset);
    params[7] = pg_int8(PAGE_BYTES_MAX);
    if (rc == RC_OK) {
        const struct pg_step steps[] = {
            {&page_statement,  params, PARAMS },
            {&count_statement, params, FILTERS},
        };

        rc = pg_run(pg, PG_SNAPSHOT, steps, 2, on_rows, search);
    }
    pg_array_fini(&statuses);
    return rc;
}
