// Page after page is asked for, each when the client has taken the one before: that is all there
// ever is in memory. Until the first page is there a failure is an ordinary answer; behind it, it
// cuts the connection.
#include "gateway/audit_export.h"

#include "broker/base/buf.h"
#include "broker/base/log.h"
#include "broker/message/json_write.h"
#include "gateway/backend.h"
#include "gateway/csv.h"
#include "gateway/http.h"

#include <string.h>
#include <utlist.h>

#define PAGE_ARENA_BYTES (256 * 1024)
#define CURSOR_BYTES 128
#define BLOCK_BYTES (16 * 1024)
#define PER_TENANT_MAX 4 // under way at a time in this gateway: each holds a page in memory
#define BUSY_RETRY_SECONDS 5

struct export
{
    struct export *next; // of those under way in the gateway
    struct export *before;
    struct exchange *exchange;
    struct web_request *web;
    Hr__ExportAudit *request;
    char cursor[CURSOR_BYTES];
    struct arena *page; // owned: what one page needs
    struct buf text;    // owned: the page as the client gets it
    size_t sent;        // of it
    bool is_csv;
    bool streaming;
    bool asking; // for a page
    bool last;   // there are no more pages
    bool failed;
};

static void ask(struct export *export);

static void release(struct export *export)
{
    DL_DELETE2(export->exchange->gateway->exports, export, before, next);
    arena_destroy(export->page);
    buf_fini(&export->text);
}

static enum web_more on_read(void *ctx, char *out, size_t cap, size_t *len)
{
    struct export *export = ctx;
    size_t left = export->text.len - export->sent;

    if (left > 0) {
        *len = left < cap ? left : cap;
        memcpy(out, export->text.data + export->sent, *len);
        export->sent += *len;
        return WEB_MORE;
    }
    if (export->failed)
        return WEB_BREAK;
    if (export->last)
        return WEB_END;
    if (!export->asking)
        ask(export);
    return WEB_LATER;
}

static void on_end(void *ctx, bool whole)
{
    struct export *export = ctx;

    if (!whole)
        log_info("export.cut", "id=\"%s\" tenant=%s failed=%d", export->exchange->id,
                 export->exchange->caller.tenant, export->failed);
    release(export);
}

static void begin_stream(struct export *export)
{
    const char *kind = export->is_csv ? "csv" : "ndjson";
    const struct header disposition = {"Content-Disposition",
                                       arena_printf(export->exchange->arena,
                                                    "attachment; filename=\"audit-%s.%s\"",
                                                    export->exchange->caller.tenant, kind)};
    const struct web_stream stream = {
        .read = on_read, .end = on_end, .ctx = export, .block = BLOCK_BYTES};

    export->streaming = true;
    http_respond_stream(export->exchange,
                        export->is_csv ? "text/csv; charset=utf-8" : "application/x-ndjson",
                        &disposition, 1, &stream);
}

static void write_row(struct export *export, const Hr__AuditRow *row)
{
    Text line;

    if (export->is_csv) {
        csv_row(&export->text, &row->base);
        return;
    }
    line = json_of_message(export->page, &row->base);
    buf_append(&export->text, line.data, line.len);
    buf_puts(&export->text, "\n");
}

static void on_page(void *ctx, ProtobufCMessage *reply)
{
    struct export *export = ctx;
    const Hr__AuditRows *rows = (const Hr__AuditRows *)reply;

    export->asking = false;
    buf_reset(&export->text);
    export->sent = 0;
    if (!export->streaming && export->is_csv)
        csv_heading(&export->text, &hr__audit_row__descriptor);
    for (size_t i = 0; i < rows->n_rows; i++)
        write_row(export, rows->rows[i]);
    export->last = !rows->has_next_cursor;
    export->failed = rows->next_cursor.len >= CURSOR_BYTES; // not ours
    if (!export->last && !export->failed) {
        memcpy(export->cursor, rows->next_cursor.data, rows->next_cursor.len);
        export->request->has_cursor = 1;
        export->request->cursor = (Text){rows->next_cursor.len, (uint8_t *)export->cursor};
    }
    if (export->streaming)
        web_wake(export->web);
    else
        begin_stream(export);
}

static void on_failed(void *ctx, const struct problem *problem)
{
    struct export *export = ctx;

    export->asking = false;
    if (!export->streaming) {
        http_refuse(export->exchange, problem);
        release(export);
        return;
    }
    export->failed = true;
    web_wake(export->web);
}

// Only the first page waits for what the caller has been told: the others lie behind it.
static void ask(struct export *export)
{
    const struct backend_query query = {
        .command = CMD_AUDIT_EXPORT,
        .request = &export->request->base,
        .arena = export->page,
        .is_current = !export->streaming,
        .done = on_page,
        .failed = on_failed,
        .ctx = export,
    };

    arena_reset(export->page);
    export->asking = true;
    backend_query(export->exchange, &query);
}

static bool is_full(const struct exchange *exchange)
{
    size_t count = 0;

    for (const struct export *at = exchange->gateway->exports; at != NULL; at = at->next)
        count += strcmp(at->exchange->caller.tenant, exchange->caller.tenant) == 0;
    return count >= PER_TENANT_MAX;
}

static void refuse_full(struct exchange *exchange)
{
    struct problem problem;

    (void)problem_set(&problem, exchange->arena, PROBLEM_UNAVAILABLE,
                      "%d exports of this tenant are under way here", PER_TENANT_MAX);
    problem.retry_after_seconds = BUSY_RETRY_SECONDS;
    http_refuse(exchange, &problem);
}

void audit_export(struct exchange *exchange)
{
    ProtobufCMessage *query = http_query(exchange);
    struct export *export;

    if (query == NULL)
        return;
    if (is_full(exchange)) {
        refuse_full(exchange);
        return;
    }
    export = arena_calloc(exchange->arena, 1, sizeof *export);
    export->exchange = exchange;
    export->web = exchange->request;
    export->request = (Hr__ExportAudit *)query;
    export->is_csv = export->request->has_format &&
                     export->request->format == HR__EXPORT_FORMAT__EXPORT_FORMAT_CSV;
    export->page = arena_create(PAGE_ARENA_BYTES);
    DL_APPEND2(exchange->gateway->exports, export, before, next);
    ask(export);
}
