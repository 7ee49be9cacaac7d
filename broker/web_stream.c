// Streams on libmicrohttpd: it asks for bytes when the socket takes some; when there are none the
// connection is suspended, and then nobody watches its socket but us.
#include "broker/web_parts.h"

#include <assert.h>
#include <stdlib.h>

// --- waiting -------------------------------------------------------------------------------------

static void on_hang_up(uv_poll_t *socket, int status, int events)
{
    struct web_request *request = socket->data;

    if (status == 0 && (events & UV_DISCONNECT) == 0)
        return;
    uv_poll_stop(socket);
    request->broken = true;
    request->stream.gone(request->stream.ctx);
}

static void watch(struct web_request *request)
{
    const union MHD_ConnectionInfo *info;

    if (request->stream.gone == NULL)
        return;
    if (!request->has_socket) {
        info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info == NULL ||
            uv_poll_init(request->web->loop, &request->socket, info->connect_fd) != 0)
            return; // it is noticed with the next bytes
        request->socket.data = request;
        request->has_socket = true;
    }
    uv_poll_start(&request->socket, UV_DISCONNECT, on_hang_up);
}

static void wait(struct web_request *request)
{
    request->waiting = true;
    MHD_suspend_connection(request->connection);
    watch(request);
}

void web_wake(struct web_request *request)
{
    assert(request->streaming);
    if (request->reading)
        request->woken = true;
    if (!request->waiting)
        return;
    request->waiting = false;
    if (request->has_socket)
        uv_poll_stop(&request->socket);
    MHD_resume_connection(request->connection);
    request->web->resumed = true;
}

// --- reading -------------------------------------------------------------------------------------

static enum web_more read_some(struct web_request *request, char *out, size_t cap, size_t *len)
{
    enum web_more more;

    request->reading = true;
    do {
        request->woken = false;
        more = request->stream.read(request->stream.ctx, out, cap, len);
    } while (more == WEB_LATER && request->woken);
    request->reading = false;
    return more;
}

static ssize_t on_read(void *ctx, uint64_t position, char *out, size_t cap)
{
    struct web_request *request = ctx;
    size_t len = 0;

    (void)position;
    if (request->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    switch (read_some(request, out, cap, &len)) {
    case WEB_MORE:
        assert(len > 0 && len <= cap);
        return (ssize_t)len;
    case WEB_LATER:
        wait(request);
        return 0;
    case WEB_END:
        request->whole = true;
        return MHD_CONTENT_READER_END_OF_STREAM;
    case WEB_BREAK:
        break;
    }
    request->broken = true;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

// --- beginning and end ---------------------------------------------------------------------------

void web_respond_stream(struct web_request *request, unsigned status, const struct header *headers,
                        size_t header_count, const struct web_stream *stream)
{
    struct web *web = request->web;

    assert(request->handed_over && stream->block > 0);
    request->streaming = true;
    request->stream = *stream;
    request->next = web->streams;
    if (web->streams != NULL)
        web->streams->previous = request;
    web->streams = request;
    web_answer(
        request, status, headers, header_count,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, stream->block, on_read, request, NULL));
}

static void on_socket_closed(uv_handle_t *handle)
{
    web_request_free(handle->data);
}

void web_stream_end(struct web_request *request, bool delivered)
{
    struct web *web = request->web;

    assert(!request->waiting);
    if (request->previous != NULL)
        request->previous->next = request->next;
    else
        web->streams = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    web->in_hand--;
    request->stream.end(request->stream.ctx, delivered && request->whole);
    if (request->has_socket)
        uv_close((uv_handle_t *)&request->socket, on_socket_closed);
    else
        web_request_free(request);
}

void web_stream_break_all(struct web *web)
{
    // libmicrohttpd cannot stop while a connection is suspended.
    for (struct web_request *request = web->streams; request != NULL; request = request->next) {
        request->broken = true;
        web_wake(request);
    }
    if (web->streams != NULL)
        (void)MHD_run(web->daemon);
}
