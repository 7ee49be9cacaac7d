// One connection: bytes in, phase by phase, and its end.
//
// Bytes are taken by the phase the connection is in, in a loop that ends when they are used up or
// when they have to wait for an answer; an answer that comes later goes on with what waited. No
// function here calls itself over a handler: a handler that answers further down the stack only
// changes the phase, and the loop sees that.
#include "broker/web/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define HEAD_MS 10000   // from a head's first byte to its last
#define BODY_MS 30000   // for a body, and one second more for every BODY_RATE bytes of it
#define BODY_RATE 16384 //
#define ANSWER_MS 60000 // in which a client takes nothing of its answer
#define LINGER_MS 10000 // for a client to read its answer and close
#define SKIP_MS 30000   //
#define IDLE_MS (WEB_KEEP_ALIVE_SECONDS * 1000)
#define EARLY_MAX (64 * 1024)           // bytes of further requests that are kept meanwhile
#define SKIP_MAX (64 * 1024)            // a longer rest of a body ends the connection
#define LINGER_MAX (16LL * 1024 * 1024) // bytes that a refused client may still send

// --- phases --------------------------------------------------------------------------------------

void connection_set_phase(struct connection *connection, enum phase phase)
{
    struct web *web = connection->web;
    bool waits = phase == PHASE_IDLE || phase == PHASE_HEAD;

    if (connection->is_waiting && (!waits || phase == PHASE_IDLE)) {
        DL_DELETE2(web->waiting, connection, wait_prev, wait_next);
        connection->is_waiting = false;
    }
    if (waits && !connection->is_waiting) {
        DL_APPEND2(web->waiting, connection, wait_prev, wait_next);
        connection->is_waiting = true;
    }
    connection->phase = phase;
    connection->since_ms = uv_now(web->loop);
}

// --- the end -------------------------------------------------------------------------------------

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; // the client's end follows, or the deadline
}

void connection_linger(struct connection *connection)
{
    if (connection->phase == PHASE_CLOSED)
        return;
    if (connection->gone) {
        connection_cut(connection);
        return;
    }
    connection_set_phase(connection, PHASE_LINGER);
    connection->discards = true;
    if (connection->skip_left == 0)
        connection->skip_left = LINGER_MAX;
    if (!connection->is_shut &&
        uv_shutdown(&connection->shutdown, &connection->handle.stream, on_shutdown) == 0)
        connection->is_shut = true;
    connection_read(connection);
}

// The client has closed its side, or the connection is broken: the handler that works for it is
// called.
static void note_gone(struct connection *connection, bool broken)
{
    struct web_request *request = connection->request;

    connection->gone = true;
    connection->closes = true;
    connection->reads = false;
    uv_read_stop(&connection->handle.stream);
    switch (connection->phase) {
    case PHASE_SOCKET:
        websocket_gone(connection->socket);
        return;
    case PHASE_WAIT:
        if (request->on_gone != NULL)
            request->on_gone(request->gone_ctx);
        return;
    case PHASE_ANSWER:
        if (request != NULL && request->streaming)
            stream_client_gone(request);
        else if (broken)
            connection_cut(connection);
        return;
    default:
        connection_cut(connection);
    }
}

// --- refusing ------------------------------------------------------------------------------------

void connection_refuse(struct connection *connection, unsigned status, const char *text)
{
    const struct web_config *config = connection->web->config;
    struct web_request *request = connection->request;
    struct header type = {"Content-Type", "text/plain"};

    if (request == NULL)
        request = request_take(connection);
    connection->closes = true;
    connection->discards = true;
    connection->skip_left = LINGER_MAX;
    if (config->on_refusal != NULL)
        config->on_refusal(config->ctx, request, status, text);
    else
        web_respond(request, status, &type, 1, text, strlen(text));
}

// --- heads ---------------------------------------------------------------------------------------

// A body of known length that was not wanted is read and thrown away if it is short, so that the
// connection can go on; after any other the connection ends.
static void plan_rest(struct connection *connection, const struct head *head)
{
    if (head->is_chunked || head->length > SKIP_MAX || (head->expects && head->length > 0)) {
        connection->closes = true;
        connection->discards = true;
        connection->skip_left = LINGER_MAX;
    } else {
        connection->skip_left = head->length;
    }
}

static void hand_over(struct connection *connection)
{
    struct web *web = connection->web;
    struct web_request *request = connection->request;

    connection_set_phase(connection, PHASE_WAIT);
    request->handed_over = true;
    web->in_hand++;
    web->config->on_request(web->config->ctx, request);
}

static void begin_body(struct connection *connection, bool has_more)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct web *web = connection->web;
    struct web_request *request = connection->request;
    const struct head *head = &request->head;

    if (!head->is_chunked && head->length > web->config->body_max) {
        connection_refuse(connection, 413,
                          arena_printf(request->arena,
                                       "Request body too large: %llu bytes (max %zu bytes)",
                                       (unsigned long long)head->length, web->config->body_max));
        return;
    }
    connection_set_phase(connection, PHASE_BODY);
    connection->skip_left = 0;
    if (head->expects && !has_more)
        (void)connection_send(connection, go_on, sizeof go_on - 1);
}

// The head is complete.
static void take_head(struct connection *connection, bool has_more)
{
    const struct web_config *config = connection->web->config;
    struct web_request *request = connection->request;
    struct head *head = &request->head;
    struct head_refusal refusal;

    if (!head_read(head, &connection->body_reader, request->arena, request->raw.data,
                   request->raw.len, &refusal) ||
        !target_read(&request->target, request->arena, head->target, &refusal)) {
        connection_refuse(connection, refusal.status, refusal.text);
        return;
    }
    connection->closes = head->closes || connection->web->stopping;
    if (config->on_head != NULL) {
        plan_rest(connection, head);
        config->on_head(config->ctx, request);
        if (connection->phase != PHASE_HEAD)
            return; // answered
        connection->discards = false;
        connection->closes = head->closes || connection->web->stopping;
    }
    if (head->is_chunked || head->length > 0)
        begin_body(connection, has_more);
    else
        hand_over(connection);
}

static size_t feed_head(struct connection *connection, char *data, size_t len)
{
    struct web_request *request = connection->request;
    size_t used = 0;
    enum head_end end = head_scan(&connection->scan, data, len, &used);

    if (end == HEAD_BAD) {
        connection_refuse(connection, 400, "The head of the request cannot be understood");
        return len;
    }
    if (request->raw.len + used > WEB_HEAD_MAX) {
        bool in_line = !connection->scan.has_line;

        connection_refuse(connection, in_line ? 414 : 431,
                          in_line ? "The request target is too long"
                                  : "The headers of the request are too large");
        return len;
    }
    buf_append(&request->raw, data, used);
    if (end == HEAD_ENDS)
        take_head(connection, used < len);
    return used;
}

// --- bodies --------------------------------------------------------------------------------------

static bool take_body(void *ctx, const char *data, size_t len)
{
    struct connection *connection = ctx;
    struct web_request *request = connection->request;
    struct web *web = connection->web;
    const struct web_config *config = web->config;

    if (request->body.len + len > config->body_max) {
        connection_refuse(connection, 413,
                          arena_printf(request->arena,
                                       "Request body too large: %zu bytes or more (max %zu bytes)",
                                       request->body.len + len, config->body_max));
        return false;
    }
    if (config->bodies_max > 0 && web->bodies + len > config->bodies_max) {
        connection_refuse(connection, 503, "Too many request bodies are being read at once");
        return false;
    }
    buf_append(&request->body, data, len);
    request->body_held += len;
    web->bodies += len;
    return true;
}

static size_t feed_body(struct connection *connection, char *data, size_t len)
{
    size_t used = 0;

    switch (body_read(&connection->body_reader, take_body, connection, data, len, &used)) {
    case BODY_MORE:
    case BODY_FULL: // refused
        return len;
    case BODY_ENDS:
        hand_over(connection);
        return used;
    case BODY_BAD:
        break;
    }
    connection_refuse(connection, 400, "The chunks of the request body cannot be understood");
    return len;
}

// --- what is not wanted --------------------------------------------------------------------------

static size_t feed_skip(struct connection *connection, size_t len)
{
    size_t used = len < connection->skip_left ? len : (size_t)connection->skip_left;

    connection->skip_left -= used;
    if (connection->skip_left > 0)
        return used;
    connection_set_phase(connection, PHASE_ANSWER);
    if (connection->writes == 0)
        connection_answered(connection);
    return used;
}

static size_t feed_discard(struct connection *connection, size_t len)
{
    if (len >= connection->skip_left)
        connection_cut(connection);
    else
        connection->skip_left -= len;
    return len;
}

static size_t feed_early(struct connection *connection, const char *data, size_t len)
{
    buf_append(&connection->early, data, len);
    if (connection->early.len > EARLY_MAX && connection->reads) {
        connection->reads = false;
        uv_read_stop(&connection->handle.stream);
    }
    return len;
}

// --- the loop ------------------------------------------------------------------------------------

static void begin_head(struct connection *connection)
{
    (void)request_take(connection);
    connection->scan = (struct head_scan){0};
    connection_set_phase(connection, PHASE_HEAD);
}

static size_t feed_some(struct connection *connection, char *data, size_t len)
{
    if (connection->discards && connection->phase != PHASE_CLOSED)
        return feed_discard(connection, len);
    switch (connection->phase) {
    case PHASE_IDLE:
        if (*data == '\r' || *data == '\n')
            return 1; // some clients end a body with a line break of their own
        begin_head(connection);
        return feed_head(connection, data, len);
    case PHASE_HEAD:
        return feed_head(connection, data, len);
    case PHASE_BODY:
        return feed_body(connection, data, len);
    case PHASE_WAIT:
    case PHASE_ANSWER:
        return feed_early(connection, data, len);
    case PHASE_SKIP:
        return feed_skip(connection, len);
    case PHASE_SOCKET:
        websocket_take(connection->socket, data, len);
        return len;
    case PHASE_LINGER:
    case PHASE_CLOSED:
        break;
    }
    return len;
}

static void feed(struct connection *connection, char *data, size_t len)
{
    connection->feeding = true;
    while (len > 0) {
        size_t used = feed_some(connection, data, len);

        data += used;
        len -= used;
    }
    connection->feeding = false;
}

// What came before its time has its time now.
static void feed_kept(struct connection *connection)
{
    while (connection->early.len > 0 && connection->phase != PHASE_WAIT &&
           connection->phase != PHASE_ANSWER && connection->phase != PHASE_CLOSED) {
        struct buf kept = connection->early;

        connection->early = (struct buf){0};
        feed(connection, kept.data, kept.len);
        buf_fini(&kept);
    }
}

void connection_answered(struct connection *connection)
{
    if (connection->phase == PHASE_CLOSED)
        return;
    if (connection->closes || connection->gone) {
        connection_linger(connection);
        return;
    }
    connection_set_phase(connection, PHASE_IDLE);
    if (connection->feeding)
        return; // the loop goes on with what there is
    feed_kept(connection);
    if (connection->early.len <= EARLY_MAX) // else more of it has to be answered first
        connection_read(connection);
}

// --- reading -------------------------------------------------------------------------------------

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *connection = handle->data;

    (void)suggested;
    *buf = uv_buf_init(connection->web->input, INPUT_BYTES); // used up before the next is read
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;

    if (count > 0)
        feed(connection, buf->base, (size_t)count);
    else if (count < 0)
        note_gone(connection, count != UV_EOF);
}

void connection_read(struct connection *connection)
{
    if (connection->reads || connection->gone || connection->phase == PHASE_CLOSED)
        return;
    connection->reads = uv_read_start(&connection->handle.stream, on_alloc, on_read) == 0;
    if (!connection->reads)
        connection_cut(connection);
}

void connection_begin(struct connection *connection)
{
    connection_set_phase(connection, PHASE_IDLE);
    connection_read(connection);
}

// --- deadlines -----------------------------------------------------------------------------------

// A client that takes something, however little, is alive.
static void check_progress(struct connection *connection, uint64_t now_ms)
{
    size_t queue = uv_stream_get_write_queue_size(&connection->handle.stream);

    if (queue == 0 || queue != connection->queue)
        connection->since_ms = now_ms;
    connection->queue = queue;
    if (now_ms - connection->since_ms > ANSWER_MS)
        connection_cut(connection);
}

void connection_tick(struct connection *connection, uint64_t now_ms)
{
    uint64_t age = now_ms - connection->since_ms;
    size_t body = connection->request != NULL ? connection->request->body.len : 0;

    switch (connection->phase) {
    case PHASE_IDLE:
        if (age > IDLE_MS)
            connection_cut(connection);
        return;
    case PHASE_HEAD:
        if (age > HEAD_MS)
            connection_refuse(connection, 408, "The head of the request did not come in time");
        return;
    case PHASE_BODY:
        if (age > BODY_MS + (uint64_t)body * 1000 / BODY_RATE)
            connection_refuse(connection, 408, "The body of the request did not come in time");
        return;
    case PHASE_ANSWER:
        check_progress(connection, now_ms);
        return;
    case PHASE_SKIP:
        if (age > SKIP_MS)
            connection_cut(connection);
        return;
    case PHASE_LINGER:
        if (age > LINGER_MS)
            connection_cut(connection);
        return;
    case PHASE_WAIT:
    case PHASE_SOCKET:
    case PHASE_CLOSED:
        return;
    }
}
