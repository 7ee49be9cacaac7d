// Each page begins behind the place where the one before ended, so a page costs the same however
// far in it is, and rows that are added meanwhile come at the end.
#include "workers/query/audit_export.h"

#include "broker/seal/seal_wire.h"
#include "broker/sql/sealed_row.h"
#include "workers/query/audit_filter.h"
#include "workers/query/cursor.h"

#include <string.h>

// So that a page is one message also on a server with the usual limit of 1 MB.
#define PAGE_ROWS 500
#define PAGE_BYTES (512 << 10) // of records and details, unless one row alone is larger

static const struct pg_statement page_statement = {
    "audit_export",
    SEALED_ROW_PAGE(AUDIT_FILTER " AND (shard, epoch, seq, part) > ($7, $8, $9, $10)", "$11",
                    "$12"),
};

#define PARAMS 12

struct export
{
    struct arena *arena;
    Hr__AuditRows *answer;
    query_done done;
    void *ctx;
};

// A page that is short of both bounds is the last one.
static bool is_last(size_t rows, size_t bytes)
{
    return rows < PAGE_ROWS && bytes < PAGE_BYTES;
}

static void on_page(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct export *export = ctx;
    Hr__AuditRows *answer = export->answer;
    size_t count = rc == RC_OK ? (size_t)pg_rows(results[0]) : 0;
    struct cursor_place place;
    size_t bytes = 0;

    if (rc != RC_OK) {
        export->done(export->ctx, rc, NULL);
        return;
    }
    answer->rows = arena_calloc(export->arena, count, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        struct seal_row row;

        sealed_row_read(&row, results[0], (int)i);
        answer->rows[answer->n_rows++] = seal_row_to_wire(export->arena, &row);
        place = (struct cursor_place){row.shard, row.epoch, row.seq, row.part};
        bytes += row.record.len + row.details.len;
    }
    if (!is_last(count, bytes)) {
        char *text = arena_alloc(export->arena, CURSOR_PLACE_TEXT_BYTES);

        cursor_place_format(text, &place);
        answer->has_next_cursor = 1;
        answer->next_cursor = text_of(text);
    }
    export->done(export->ctx, RC_OK, &answer->base); // its texts are borrowed from the result
}

enum rc audit_export(struct pg *pg, const char *tenant, const Hr__ExportAudit *request,
                     struct arena *arena, struct problem *problem, query_done done, void *ctx)
{
    struct export *export = arena_alloc(arena, sizeof *export);
    struct cursor_place place = {-1, -1, -1, -1}; // before every row

    if (request->has_cursor && request->cursor.len > 0 &&
        cursor_place_parse(&place, request->cursor.data, request->cursor.len) != RC_OK)
        return problem_set(problem, arena, PROBLEM_INVALID_CURSOR, "Invalid cursor");
    *export = (struct export){arena, wire_new(arena, &hr__audit_rows__descriptor), done, ctx};

    const struct pg_param params[PARAMS] = {
        pg_text(tenant, strlen(tenant)),
        audit_filter_text(arena, request->has_action, request->action),
        audit_filter_text(arena, request->has_actor, request->actor),
        audit_filter_id(request->has_packet_id, request->packet_id),
        audit_filter_time(request->created_after),
        audit_filter_time(request->created_before),
        pg_int8(place.shard),
        pg_int8(place.epoch),
        pg_int8(place.seq),
        pg_int8(place.part),
        pg_int8(PAGE_ROWS),
        pg_int8(PAGE_BYTES),
    };
    return pg_query(pg, &page_statement, params, PARAMS, on_page, export);
}
