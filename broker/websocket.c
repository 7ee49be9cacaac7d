// libmicrohttpd hands its socket over after the handshake; from there on libuv watches it and wslay
// reads and writes its frames.
#include "broker/websocket.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/web_parts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#define KEY_CHARS 24 // 16 bytes in base64
#define GOODBYE_NS (5 * 1000000000LL)
#define ACCEPT_BYTES 32

struct websocket {
    struct web_request *request;
    struct websocket_config config;
    struct websocket *next; // of the server's
    struct websocket *prev;
    struct MHD_UpgradeResponseHandle *handle;
    wslay_event_context_ptr frames;
    uv_poll_t poll;
    int fd;
    const char *early; // bytes that came along with the handshake
    size_t early_len;
    int64_t goodbye_ns; // when it began to close; 0: it has not
    bool full;          // there was no room
    bool held;
    bool broken; // nothing can be read or written any more
    bool busy;   // in a callback of ours
    bool open;
    bool released; // by one of libuv and libmicrohttpd; the other one is the last
};

// --- the handshake -------------------------------------------------------------------------------

// Is word among the header's comma-separated ones?
static bool has_word(const char *header, const char *word)
{
    size_t len = strlen(word);

    while (header != NULL && *header != '\0') {
        header += strspn(header, " \t,");
        if (strncasecmp(header, word, len) == 0 && strchr(" \t,", header[len]) != NULL)
            return true;
        header += strcspn(header, ",");
    }
    return false;
}

static bool is_key(const char *key)
{
    unsigned char bytes[KEY_CHARS];

    return key != NULL && strlen(key) == KEY_CHARS && key[KEY_CHARS - 1] == '=' &&
           key[KEY_CHARS - 2] == '=' &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key, KEY_CHARS) > 0;
}

bool websocket_check(const struct web_request *request, const char **reason)
{
    const char *version = web_header(request, "Sec-WebSocket-Version");

    *reason = NULL;
    if (!has_word(web_header(request, "Upgrade"), "websocket") ||
        !has_word(web_header(request, "Connection"), "upgrade"))
        *reason = "This is for WebSocket: the headers Connection and Upgrade do not ask for it";
    else if (version == NULL || strcmp(version, "13") != 0)
        *reason = "Sec-WebSocket-Version must be 13";
    else if (!is_key(web_header(request, "Sec-WebSocket-Key")))
        *reason = "Sec-WebSocket-Key must be 16 bytes in base64";
    return *reason == NULL;
}

// RFC 6455, 4.2.2: proves that this was understood as a WebSocket handshake.
static void answer_key(char accept[ACCEPT_BYTES], const char *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[KEY_CHARS + sizeof guid];
    unsigned len;

    (void)snprintf(text, sizeof text, "%s%s", key, guid);
    if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1)
        abort();
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, (int)len);
}

// --- the end -------------------------------------------------------------------------------------

static void release(struct websocket *socket)
{
    if (!socket->released && socket->frames != NULL) {
        socket->released = true;
        return;
    }
    wslay_event_context_free(socket->frames);
    free(socket);
}

static void on_poll_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void cut(struct websocket *socket)
{
    struct web *web = socket->request->web;

    if (!socket->open)
        return;
    socket->open = false;
    uv_poll_stop(&socket->poll);
    uv_close((uv_handle_t *)&socket->poll, on_poll_closed);
    (void)MHD_upgrade_action(socket->handle, MHD_UPGRADE_ACTION_CLOSE);
    web->resumed = true;
}

// libmicrohttpd is done with the request.
void websocket_end(struct websocket *socket)
{
    struct web *web = socket->request->web;

    web->in_hand--;
    if (socket->next != NULL)
        socket->next->prev = socket->prev;
    if (socket->prev != NULL)
        socket->prev->next = socket->next;
    else
        web->sockets = socket->next;
    socket->config.on_closed(socket->config.ctx);
    release(socket); // which is all there is to do if the client went away before the handover
}

void websocket_break_all(struct web *web)
{
    for (struct websocket *socket = web->sockets; socket != NULL; socket = socket->next)
        cut(socket);
    if (web->sockets != NULL)
        (void)MHD_run(web->daemon);
}

// --- bytes ---------------------------------------------------------------------------------------

static ssize_t on_bytes_wanted(wslay_event_context_ptr frames, uint8_t *data, size_t len, int flags,
                               void *ctx)
{
    struct websocket *socket = ctx;
    ssize_t got;

    (void)flags;
    if (socket->early_len > 0) {
        size_t count = len < socket->early_len ? len : socket->early_len;

        memcpy(data, socket->early, count);
        socket->early += count;
        socket->early_len -= count;
        return (ssize_t)count;
    }
    do {
        got = recv(socket->fd, data, len, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    wslay_event_set_error(frames, got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
                                      ? WSLAY_ERR_WOULDBLOCK
                                      : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_bytes_ready(wslay_event_context_ptr frames, const uint8_t *data, size_t len,
                              int flags, void *ctx)
{
    struct websocket *socket = ctx;
    ssize_t sent;

    do {
        sent = send(socket->fd, data, len,
                    MSG_NOSIGNAL | ((flags & WSLAY_MSG_MORE) != 0 ? MSG_MORE : 0));
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    wslay_event_set_error(frames, errno == EAGAIN || errno == EWOULDBLOCK
                                      ? WSLAY_ERR_WOULDBLOCK
                                      : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *arg, void *ctx)
{
    struct websocket *socket = ctx;

    (void)frames;
    if (arg->opcode == WSLAY_TEXT_FRAME)
        socket->config.on_text(socket->config.ctx,
                               arg->msg_length > 0 ? (const char *)arg->msg : "", arg->msg_length);
    else if (arg->opcode == WSLAY_BINARY_FRAME)
        websocket_close(socket, WEBSOCKET_NOT_ACCEPTABLE, "only text is understood");
}

static bool may_read(const struct websocket *socket)
{
    return !socket->held && !socket->broken && wslay_event_want_read(socket->frames) != 0 &&
           websocket_has_room(socket);
}

static void on_poll(uv_poll_t *poll, int status, int events);

// Watches for what can go on, or ends it when nothing can.
static void watch(struct websocket *socket)
{
    int events = 0;

    if (socket->broken || (wslay_event_want_read(socket->frames) == 0 &&
                           wslay_event_want_write(socket->frames) == 0)) {
        cut(socket);
        return;
    }
    if (may_read(socket))
        events |= UV_READABLE;
    if (wslay_event_want_write(socket->frames) != 0)
        events |= UV_WRITABLE;
    // Even one that nothing is wanted of may go away.
    uv_poll_start(&socket->poll, events | UV_DISCONNECT, on_poll);
}

static void write_out(struct websocket *socket)
{
    if (!socket->broken && wslay_event_send(socket->frames) != 0)
        socket->broken = true;
}

static void offer_room(struct websocket *socket)
{
    if (!socket->full || socket->goodbye_ns != 0 || !websocket_has_room(socket))
        return;
    socket->full = false;
    socket->config.on_room(socket->config.ctx);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct websocket *socket = poll->data;

    socket->busy = true;
    if (status != 0 || ((events & UV_DISCONNECT) != 0 && socket->held))
        socket->broken = true;
    if ((events & (UV_READABLE | UV_DISCONNECT)) != 0 && may_read(socket) &&
        wslay_event_recv(socket->frames) != 0)
        socket->broken = true;
    write_out(socket);
    offer_room(socket);
    write_out(socket);
    socket->busy = false;
    watch(socket);
}

// Something was queued, or held reading may go on.
static void go_on(struct websocket *socket)
{
    if (socket->busy || !socket->open)
        return;
    write_out(socket);
    if (socket->broken) // whoever called us is not ready for the end: it comes with the next turn
        uv_poll_start(&socket->poll, UV_WRITABLE | UV_DISCONNECT, on_poll);
    else
        watch(socket);
}

// --- for its owner -------------------------------------------------------------------------------

void websocket_hold(struct websocket *socket, bool hold)
{
    socket->held = hold;
    if (!hold && socket->early_len > 0 && may_read(socket)) {
        socket->busy = true;
        if (wslay_event_recv(socket->frames) != 0)
            socket->broken = true;
        socket->busy = false;
    }
    go_on(socket);
}

bool websocket_has_room(const struct websocket *socket)
{
    return wslay_event_get_queued_msg_length(socket->frames) < WEBSOCKET_QUEUE_MAX;
}

void websocket_send(struct websocket *socket, const void *text, size_t len)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = text, .msg_length = len};

    if (socket->goodbye_ns != 0 || !socket->open)
        return;
    if (wslay_event_queue_msg(socket->frames, &message) != 0)
        socket->broken = true;
    go_on(socket);
    if (!websocket_has_room(socket))
        socket->full = true;
}

void websocket_close(struct websocket *socket, enum websocket_status status, const char *reason)
{
    if (socket->goodbye_ns != 0 || !socket->open)
        return;
    socket->goodbye_ns = clock_now_ns();
    socket->held = false; // its goodbye must be read
    if (wslay_event_queue_close(socket->frames, (uint16_t)status, (const uint8_t *)reason,
                                strlen(reason)) != 0)
        socket->broken = true;
    go_on(socket);
}

void websocket_tick(struct websocket *socket)
{
    if (socket->broken ||
        (socket->goodbye_ns != 0 && clock_now_ns() - socket->goodbye_ns > GOODBYE_NS))
        cut(socket);
}

// --- the beginning -------------------------------------------------------------------------------

static void on_upgraded(void *ctx, struct MHD_Connection *connection, void *context,
                        const char *early, size_t early_len, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *handle)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_bytes_wanted,
        .send_callback = on_bytes_ready,
        .on_msg_recv_callback = on_message,
    };
    struct websocket *socket = ctx;
    int flags = fcntl(fd, F_GETFL);

    (void)connection;
    (void)context;
    if (wslay_event_context_server_init(&socket->frames, &callbacks, socket) != 0)
        abort();
    wslay_event_config_set_max_recv_msg_length(socket->frames, WEBSOCKET_TEXT_MAX);
    socket->handle = handle;
    socket->fd = fd;
    socket->early = arena_copy(socket->request->arena, early, early_len);
    socket->early_len = early_len;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        uv_poll_init(socket->request->web->loop, &socket->poll, fd) != 0)
        abort();
    socket->poll.data = socket;
    socket->open = true;
    socket->busy = true;
    socket->config.on_open(socket->config.ctx, socket);
    if (socket->early_len > 0 && may_read(socket) && wslay_event_recv(socket->frames) != 0)
        socket->broken = true;
    socket->busy = false;
    write_out(socket);
    watch(socket);
}

void websocket_accept(struct web_request *request, const struct header *headers,
                      size_t header_count, const struct websocket_config *config)
{
    struct websocket *socket = calloc(1, sizeof *socket);
    struct web *web = request->web;
    char accept[ACCEPT_BYTES];
    struct MHD_Response *response;

    if (socket == NULL)
        abort();
    assert(request->handed_over);
    socket->request = request;
    socket->config = *config;
    socket->next = web->sockets;
    if (web->sockets != NULL)
        web->sockets->prev = socket;
    web->sockets = socket;
    request->upgraded = socket;
    answer_key(accept, web_header(request, "Sec-WebSocket-Key"));
    response = MHD_create_response_for_upgrade(on_upgraded, socket);
    if (response == NULL ||
        MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, "websocket") != MHD_YES ||
        MHD_add_response_header(response, "Sec-WebSocket-Accept", accept) != MHD_YES)
        abort();
    web_answer(request, MHD_HTTP_SWITCHING_PROTOCOLS, headers, header_count, response);
}
