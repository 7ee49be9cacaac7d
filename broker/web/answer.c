// Bytes out: answers whose bytes are there.
//
// What the system takes at once is written at once, from where it lies; only the rest is copied.
#include "broker/web/internal.h"

#include "broker/base/log.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_KEPT_BYTES (256 * 1024) // of memory that stays for the next answer

struct pending_write {
    uv_write_t write;
    struct connection *connection;
    char bytes[];
};

// --- sending -------------------------------------------------------------------------------------

// All that was to be written has been, or cannot be.
static void on_flushed(struct connection *connection)
{
    struct web_request *request = connection->request;

    if (connection->phase == PHASE_SOCKET)
        websocket_sent(connection->socket);
    else if (request != NULL && request->streaming)
        stream_go_on(request);
    else if (connection->phase == PHASE_ANSWER)
        connection_answered(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct pending_write *pending = (struct pending_write *)write;
    struct connection *connection = pending->connection;

    free(pending);
    connection->writes--;
    connection->since_ms = uv_now(connection->web->loop);
    if (status != 0 && connection->phase != PHASE_WAIT)
        connection_cut(connection);
    if (connection->writes == 0 && !connection->handle_closed)
        on_flushed(connection);
}

bool connection_send_later(struct connection *connection, const void *data, size_t len)
{
    struct pending_write *pending;
    uv_buf_t rest;

    if (connection->phase == PHASE_CLOSED)
        return false;
    pending = malloc(sizeof *pending + len);
    if (pending == NULL)
        abort();
    pending->connection = connection;
    memcpy(pending->bytes, data, len);
    rest = uv_buf_init(pending->bytes, (unsigned)len);
    if (uv_write(&pending->write, &connection->handle.stream, &rest, 1, on_written) != 0) {
        free(pending);
        return false;
    }
    connection->writes++;
    return true;
}

bool connection_send(struct connection *connection, const void *data, size_t len)
{
    uv_buf_t all = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    int sent = 0;

    if (connection->phase == PHASE_CLOSED)
        return false;
    if (connection->writes == 0) {
        sent = uv_try_write(&connection->handle.stream, &all, 1);
        if (sent == UV_EAGAIN)
            sent = 0;
        if (sent < 0)
            return false;
    }
    if ((size_t)sent == len)
        return true;
    return connection_send_later(connection, (const char *)data + sent, len - (size_t)sent);
}

// --- heads ---------------------------------------------------------------------------------------

// "BAD_REQUEST", as llhttp has it, becomes "Bad Request".
static void put_reason(struct buf *out, unsigned status)
{
    const char *name = llhttp_status_name((llhttp_status_t)status);
    bool starts = true;

    if (status == 200)
        name = "OK";
    for (; name != NULL && *name != '\0'; name++) {
        char c = *name;

        if (c == '_')
            c = ' ';
        else if (!starts)
            c = (char)tolower((unsigned char)c);
        buf_append(out, &c, 1);
        starts = c == ' ' || status == 200;
    }
}

static void put_date(struct buf *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm) == NULL)
        return;
    buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
               months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_header(struct buf *out, const struct header *header)
{
    if (header->value == NULL || strpbrk(header->value, "\r\n") != NULL) {
        log_warn("web.header", "name=%s", header->name);
        return;
    }
    buf_puts(out, header->name);
    buf_append(out, ": ", 2);
    buf_puts(out, header->value);
    buf_append(out, "\r\n", 2);
}

static bool has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

void answer_head(struct buf *out, struct web_request *request, unsigned status,
                 const struct header *headers, size_t header_count, long long length)
{
    buf_printf(out, "HTTP/1.1 %u ", status);
    put_reason(out, status);
    buf_append(out, "\r\n", 2);
    put_date(out);
    for (size_t i = 0; i < header_count; i++)
        put_header(out, &headers[i]);
    if (status == 101)
        buf_puts(out, "Connection: Upgrade\r\n");
    else if (request->connection->closes)
        buf_puts(out, "Connection: close\r\n");
    else
        buf_printf(out, "Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n",
                   WEB_KEEP_ALIVE_SECONDS);
    if (length >= 0 && !has_no_body(status))
        buf_printf(out, "Content-Length: %lld\r\n", length);
    else if (length < 0 && request->chunked)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    buf_append(out, "\r\n", 2);
}

// --- whole answers -------------------------------------------------------------------------------

void answer_done(struct web_request *request)
{
    struct connection *connection = request->connection;
    struct web *web = request->web;
    bool is_closed = connection->phase == PHASE_CLOSED;

    if (request->handed_over)
        web->in_hand--;
    if (!is_closed) {
        bool skips = !request->handed_over && !connection->closes && connection->skip_left > 0;

        connection_set_phase(connection, skips ? PHASE_SKIP : PHASE_ANSWER);
    }
    request_give_back(request);
    if (is_closed)
        connection_free_if_done(connection);
    else if (connection->phase == PHASE_ANSWER && connection->writes == 0)
        connection_answered(connection);
}

void web_respond(struct web_request *request, unsigned status, const struct header *headers,
                 size_t header_count, const void *body, size_t len)
{
    struct connection *connection = request->connection;
    struct buf *out = &request->web->answer;

    assert(!request->answered);
    request->answered = true;
    connection->closes = connection->closes || request->web->stopping;
    buf_reset(out);
    answer_head(out, request, status, headers, header_count, (long long)len);
    if (len > 0 && !has_no_body(status) && strcmp(request->head.method, "HEAD") != 0)
        buf_append(out, body, len);
    if (!connection_send(connection, out->data, out->len))
        connection->gone = true;
    if (out->cap > ANSWER_KEPT_BYTES)
        buf_fini(out);
    answer_done(request);
}
