// Answers that are made while they are sent: the producer is asked for a block when the client has
// taken the one before.
#include "broker/web/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BLOCKS_AT_ONCE 8 // then the other connections have their turn
#define CHUNK_HEAD 10    // room for the length of a chunk in hex, and CRLF

static void end(struct web_request *request)
{
    struct connection *connection = request->connection;
    bool whole = request->whole && !request->broken;

    if (request->scheduled)
        DL_DELETE2(request->web->scheduled, request, scheduled_prev, scheduled_next);
    if (!whole)
        connection->closes = true;
    request->streaming = false;
    request->stream.end(request->stream.ctx, whole);
    if (!whole && connection->phase != PHASE_CLOSED)
        connection_cut(connection); // the client must not take it for the end
    answer_done(request);
}

static enum web_more read_some(struct web_request *request, char *out, size_t *len)
{
    enum web_more more;

    request->reading = true;
    do {
        request->woken = false;
        more = request->stream.read(request->stream.ctx, out, request->stream.block, len);
    } while (more == WEB_LATER && request->woken);
    request->reading = false;
    return more;
}

// Sends a block that lies CHUNK_HEAD bytes into the scratch buffer.
static bool send_block(struct web_request *request, size_t len, bool later)
{
    struct connection *connection = request->connection;
    char *block = request->web->scratch.data + CHUNK_HEAD;
    size_t total = len;

    if (request->chunked) {
        char head[CHUNK_HEAD + 1];
        int head_len = snprintf(head, sizeof head, "%zx\r\n", len);

        block -= head_len;
        memcpy(block, head, (size_t)head_len);
        memcpy(block + head_len + len, "\r\n", 2);
        total += (size_t)head_len + 2;
    }
    return later ? connection_send_later(connection, block, total)
                 : connection_send(connection, block, total);
}

// Reads one block and sends it. True: there may be more to do at once.
static bool pump_block(struct web_request *request, bool later)
{
    struct buf *scratch = &request->web->scratch;
    size_t len = 0;

    buf_reset(scratch);
    (void)buf_reserve(scratch, request->stream.block + CHUNK_HEAD + 2);
    switch (read_some(request, scratch->data + CHUNK_HEAD, &len)) {
    case WEB_MORE:
        assert(len > 0 && len <= request->stream.block);
        request->broken = !send_block(request, len, later);
        return true;
    case WEB_LATER:
        request->waiting = true;
        return false;
    case WEB_END:
        request->whole = true;
        if (request->chunked)
            request->broken = !connection_send(request->connection, "0\r\n\r\n", 5);
        return true;
    case WEB_BREAK:
        break;
    }
    request->broken = true;
    return true;
}

static void pump(struct web_request *request)
{
    struct connection *connection = request->connection;
    bool goes_on = !request->waiting;

    for (int i = 0; goes_on && !request->broken && !request->whole && connection->writes == 0; i++)
        goes_on = pump_block(request, i == BLOCKS_AT_ONCE);
    if (!request->waiting && connection->writes == 0 && (request->broken || request->whole))
        end(request);
}

static void schedule(struct web_request *request)
{
    struct web *web = request->web;

    if (request->scheduled)
        return;
    request->scheduled = true;
    DL_APPEND2(web->scheduled, request, scheduled_prev, scheduled_next);
}

void streams_run(struct web *web)
{
    while (web->scheduled != NULL) {
        struct web_request *request = web->scheduled;

        DL_DELETE2(web->scheduled, request, scheduled_prev, scheduled_next);
        request->scheduled = false;
        pump(request);
    }
}

void stream_go_on(struct web_request *request)
{
    schedule(request);
}

void stream_break(struct web_request *request)
{
    request->broken = true;
    request->waiting = false;
    schedule(request);
}

void stream_client_gone(struct web_request *request)
{
    if (request->broken)
        return;
    if (!request->waiting) {
        stream_break(request);
    } else if (request->stream.gone != NULL) {
        request->broken = true;
        request->stream.gone(request->stream.ctx);
    }
}

void web_wake(struct web_request *request)
{
    assert(request->streaming);
    if (request->reading)
        request->woken = true;
    if (!request->waiting)
        return;
    request->waiting = false;
    schedule(request);
}

void web_respond_stream(struct web_request *request, unsigned status, const struct header *headers,
                        size_t header_count, const struct web_stream *stream)
{
    struct connection *connection = request->connection;
    struct buf out = {0};

    assert(request->handed_over && !request->answered && stream->block > 0);
    request->answered = true;
    request->streaming = true;
    request->stream = *stream;
    request->chunked = request->head.minor > 0;
    connection->closes = connection->closes || request->web->stopping || !request->chunked;
    answer_head(&out, request, status, headers, header_count, -1);
    if (connection->phase != PHASE_CLOSED)
        connection_set_phase(connection, PHASE_ANSWER);
    if (!connection_send_later(connection, out.data, out.len)) // otherwise it goes on when sent
        stream_break(request);
    buf_fini(&out);
}
