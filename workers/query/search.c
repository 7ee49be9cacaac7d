// The words are in a table of their own. Whatever is asked, they are gone through once, and only so
// many of the found are weighed: for a word that half of a million packets has, weighing them all
// takes seconds, and their order would say little (docs/decisions/016-search.md has the figures).
#include "workers/query/search.h"

#include "broker/sql/column.h"
#include "workers/query/search_text.h"

#include <string.h>

#define WEIGHED_MAX 1000 // a page of the best takes as long as reading so many texts

#define QUERY "to_tsquery('handoffrail', $2)"

// All that match. Without a filter the join goes away: nothing is taken from packets then, and what
// matches is there once.
#define FOUND                                                                                      \
    "found AS MATERIALIZED (SELECT t.id, t.epoch, t.seq FROM packet_texts t"                       \
    " LEFT JOIN packets p ON p.tenant = t.tenant AND p.id = t.id"                                  \
    " WHERE t.tenant = $1 AND t.words @@ " QUERY " AND ($3::text IS NULL OR p.status = $3)"        \
    " AND ($4::text[] IS NULL OR p.status = ANY($4))"                                              \
    " AND ($5::text IS NULL OR p.priority = $5))"

// The last written of them: those that are weighed, and as many more as the page reaches.
#define LATEST                                                                                     \
    "latest AS (SELECT id, row_number() OVER (ORDER BY epoch DESC, seq DESC) AS place"             \
    " FROM (SELECT * FROM found ORDER BY epoch DESC, seq DESC LIMIT $9) AS reached)"

// Weights of D, C, B, A: talk, nothing, reasons, title. 1: longer texts weigh less, by the
// logarithm. What is not weighed stands behind what is.
#define RANK                                                                                       \
    "CASE WHEN l.place > $10 THEN -1"                                                              \
    " ELSE ts_rank_cd('{0.1, 0.2, 0.4, 1.0}', t.words, " QUERY ", 1) END AS rank"

#define PAGE                                                                                       \
    "page AS (SELECT p.packet, p.seq, l.place, " RANK " FROM latest l"                             \
    " JOIN packet_texts t ON t.tenant = $1 AND t.id = l.id"                                        \
    " JOIN packets p ON p.tenant = $1 AND p.id = l.id"                                             \
    " ORDER BY rank DESC, place LIMIT $6 OFFSET $7)"

#define MEASURED                                                                                   \
    "measured AS (SELECT *, coalesce(sum(octet_length(packet)) OVER ("                             \
    "ORDER BY rank DESC, place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"              \
    " AS bytes_before FROM page)"

// One row at least, so that the total comes also without a packet.
static const struct pg_statement search_statement = {
    "search",
    "WITH " FOUND ", " LATEST ", " PAGE ", " MEASURED " SELECT " PAGE_COLUMNS ", total"
    " FROM (SELECT count(*) AS total FROM found) AS counted"
    " LEFT JOIN measured ON bytes_before < $8 ORDER BY rank DESC, place",
};

#define PARAMS 10
#define TOTAL 2 // column

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
        int count = pg_is_null(results[0], 0, 0) ? 0 : pg_rows(results[0]);

        search->page->total = pg_get_int(results[0], 0, TOTAL);
        rc = page_read(search->page, search->arena, results[0], count);
    }
    search->done(search->ctx, rc, rc == RC_OK ? &search->page->base : NULL);
}

// How many of the found have to be put in order for this page.
static int64_t reach(const Hr__PacketPage *page)
{
    if (page->offset > INT64_MAX - page->limit)
        return INT64_MAX;
    return page->offset + page->limit > WEIGHED_MAX ? page->offset + page->limit : WEIGHED_MAX;
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
    params[8] = pg_int8(reach(search->page));
    params[9] = pg_int8(WEIGHED_MAX);
    if (rc == RC_OK)
        rc = pg_query(pg, &search_statement, params, PARAMS, on_rows, search);
    pg_array_fini(&statuses);
    return rc;
}
