// What a connection becomes after the handshake: wslay reads and writes its frames.
#include "broker/web/websocket.h"

#include "broker/base/timestamp.h"
#include "broker/web/internal.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#define KEY_CHARS 24 // 16 bytes in base64
#define GOODBYE_NS (5 * 1000000000LL)
#define ACCEPT_BYTES 32
#define HANDSHAKE_HEADERS_MAX 16

struct websocket {
    struct connection *connection;
    struct websocket_config config;
    wslay_event_context_ptr frames;
    struct buf input; // came and has not been read yet
    size_t input_read;
    int64_t goodbye_ns; // when it began to close; 0: it has not
    bool full;          // there was no room
    bool held;
    bool broken; // nothing can be read or written any more
    bool busy;   // in a callback of ours
    bool open;   // on_open has been called, and the connection is there
    bool let_go; // on_closed has been called
};

// --- the handshake -------------------------------------------------------------------------------

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
    if (!head_has_word(web_header(request, "Upgrade"), "websocket") ||
        !head_has_word(web_header(request, "Connection"), "upgrade"))
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

// --- bytes ---------------------------------------------------------------------------------------

static ssize_t on_bytes_wanted(wslay_event_context_ptr frames, uint8_t *data, size_t len, int flags,
                               void *ctx)
{
    struct websocket *socket = ctx;
    size_t there = socket->input.len - socket->input_read;
    size_t count = len < there ? len : there;

    (void)flags;
    if (count == 0 || socket->held) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(data, socket->input.data + socket->input_read, count);
    socket->input_read += count;
    return (ssize_t)count;
}

static ssize_t on_bytes_ready(wslay_event_context_ptr frames, const uint8_t *data, size_t len,
                              int flags, void *ctx)
{
    struct websocket *socket = ctx;

    (void)flags;
    if (socket->connection->writes > 0) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (connection_send(socket->connection, data, len))
        return (ssize_t)len;
    wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
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

static void read_in(struct websocket *socket)
{
    while (may_read(socket) && socket->input_read < socket->input.len) {
        if (wslay_event_recv(socket->frames) != 0)
            socket->broken = true;
    }
    if (socket->input_read == socket->input.len) {
        buf_reset(&socket->input);
        socket->input_read = 0;
    }
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

// Ends it when nothing can go on; otherwise reads on if there is use for it.
static void settle(struct websocket *socket)
{
    struct connection *connection = socket->connection;
    bool is_over = wslay_event_want_read(socket->frames) == 0 &&
                   wslay_event_want_write(socket->frames) == 0 && connection->writes == 0;

    if (socket->broken || is_over)
        connection_cut(connection);
    else if (socket->input.len < WEBSOCKET_QUEUE_MAX)
        connection_read(connection);
}

// Bytes have come, or went, or the owner wants something: does all that can be done now.
static void work(struct websocket *socket)
{
    if (socket->busy || !socket->open)
        return;
    socket->busy = true;
    read_in(socket);
    write_out(socket);
    offer_room(socket);
    write_out(socket);
    socket->busy = false;
    settle(socket);
}

// --- what the connection says --------------------------------------------------------------------

void websocket_take(struct websocket *socket, char *data, size_t len)
{
    buf_append(&socket->input, data, len);
    work(socket);
    if (socket->input.len < WEBSOCKET_QUEUE_MAX || !socket->connection->reads)
        return;
    socket->connection->reads = false;
    uv_read_stop(&socket->connection->handle.stream);
}

void websocket_sent(struct websocket *socket)
{
    if (socket->connection->phase == PHASE_CLOSED)
        return;
    if (!socket->open) { // the answer to the handshake is out
        socket->open = true;
        socket->busy = true;
        socket->config.on_open(socket->config.ctx, socket);
        socket->busy = false;
    }
    work(socket);
}

void websocket_gone(struct websocket *socket)
{
    socket->broken = true;
    connection_cut(socket->connection);
}

void websocket_let_go(struct websocket *socket)
{
    if (socket->let_go)
        return;
    socket->let_go = true;
    socket->config.on_closed(socket->config.ctx);
}

void websocket_end(struct websocket *socket)
{
    struct connection *connection = socket->connection;

    connection->web->in_hand--;
    connection->socket = NULL;
    websocket_let_go(socket);
    request_give_back(connection->request);
    wslay_event_context_free(socket->frames);
    buf_fini(&socket->input);
    free(socket);
}

// --- for its owner -------------------------------------------------------------------------------

static bool is_alive(const struct websocket *socket)
{
    return socket->open && socket->connection->phase == PHASE_SOCKET;
}

void websocket_hold(struct websocket *socket, bool hold)
{
    socket->held = hold;
    work(socket);
}

bool websocket_has_room(const struct websocket *socket)
{
    return wslay_event_get_queued_msg_length(socket->frames) < WEBSOCKET_QUEUE_MAX;
}

void websocket_send(struct websocket *socket, const void *text, size_t len)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = text, .msg_length = len};

    if (socket->goodbye_ns != 0 || !is_alive(socket))
        return;
    if (wslay_event_queue_msg(socket->frames, &message) != 0)
        socket->broken = true;
    work(socket);
    if (!websocket_has_room(socket))
        socket->full = true;
}

void websocket_close(struct websocket *socket, enum websocket_status status, const char *reason)
{
    if (socket->goodbye_ns != 0 || !is_alive(socket))
        return;
    socket->goodbye_ns = clock_now_ns();
    socket->held = false; // its goodbye must be read
    if (wslay_event_queue_close(socket->frames, (uint16_t)status, (const uint8_t *)reason,
                                strlen(reason)) != 0)
        socket->broken = true;
    work(socket);
}

void websocket_tick(struct websocket *socket)
{
    if (socket->broken ||
        (socket->goodbye_ns != 0 && clock_now_ns() - socket->goodbye_ns > GOODBYE_NS))
        connection_cut(socket->connection);
}

// --- the beginning -------------------------------------------------------------------------------

void websocket_accept(struct web_request *request, const struct header *headers,
                      size_t header_count, const struct websocket_config *config)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_bytes_wanted,
        .send_callback = on_bytes_ready,
        .on_msg_recv_callback = on_message,
    };
    struct connection *connection = request->connection;
    struct websocket *socket = calloc(1, sizeof *socket);
    char accept[ACCEPT_BYTES];
    struct header all[HANDSHAKE_HEADERS_MAX];
    struct buf out = {0};

    if (socket == NULL || wslay_event_context_server_init(&socket->frames, &callbacks, socket) != 0)
        abort();
    assert(request->handed_over && !request->answered);
    wslay_event_config_set_max_recv_msg_length(socket->frames, WEBSOCKET_TEXT_MAX);
    socket->connection = connection;
    socket->config = *config;
    connection->socket = socket;
    request->answered = true;
    answer_key(accept, web_header(request, "Sec-WebSocket-Key"));
    all[0] = (struct header){"Upgrade", "websocket"};
    all[1] = (struct header){"Sec-WebSocket-Accept", accept};
    assert(header_count + 2 <= HANDSHAKE_HEADERS_MAX);
    for (size_t i = 0; i < header_count; i++)
        all[2 + i] = headers[i];
    answer_head(&out, request, 101, all, header_count + 2, -1);
    buf_append(&socket->input, connection->early.data, connection->early.len);
    buf_fini(&connection->early);
    connection->early = (struct buf){0};
    if (connection->phase != PHASE_CLOSED)
        connection_set_phase(connection, PHASE_SOCKET);
    if (!connection_send_later(connection, out.data, out.len))
        connection_cut(connection);
    buf_fini(&out);
}
