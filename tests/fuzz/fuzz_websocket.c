// A WebSocket's client sends anything behind a good handshake, or instead of one. The server is the
// real one, on a Unix socket; what it understands it sends back.
#include "broker/web/websocket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURNS = 12, READ_BYTES = 65536 };

static const char handshake[] = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static uv_loop_t loop;
static struct web *web;
static char path[64];
static struct websocket *open_socket;
static int open_count;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void on_open(void *ctx, struct websocket *opened)
{
    (void)ctx;
    open_socket = opened;
}

static void on_text(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    assert(len <= WEBSOCKET_TEXT_MAX);
    websocket_send(open_socket, text, len);
    if (len > 0 && text[0] == 'q')
        websocket_close(open_socket, WEBSOCKET_POLICY, "asked to");
}

static void on_room(void *ctx)
{
    (void)ctx;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    open_socket = NULL;
    open_count--;
}

static void on_request(void *ctx, struct web_request *request)
{
    static const struct websocket_config config = {
        .on_open = on_open, .on_text = on_text, .on_room = on_room, .on_closed = on_closed};
    const char *reason;

    (void)ctx;
    if (websocket_check(request, &reason)) {
        open_count++;
        websocket_accept(request, NULL, 0, &config);
    } else {
        web_respond(request, 400, NULL, 0, reason, strlen(reason));
    }
}

static struct web_config config = {.body_max = 4096, .on_request = on_request};

static void clean_up(void)
{
    (void)unlink(path);
}

static void set_up(void)
{
    static char listen_on[80];

    (void)snprintf(path, sizeof path, "/tmp/hr-fuzz-ws-%d", (int)getpid());
    (void)snprintf(listen_on, sizeof listen_on, "unix:%s", path);
    config.listen = listen_on;
    if (uv_loop_init(&loop) != 0 || web_open(&web, &loop, &config) != RC_OK ||
        atexit(clean_up) != 0)
        abort();
}

static int connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    return fd;
}

static void turn(int client)
{
    static char buffer[READ_BYTES];

    (void)uv_run(&loop, UV_RUN_NOWAIT);
    while (recv(client, buffer, sizeof buffer, 0) > 0) {
    }
}

// The first byte says how: 0 no handshake of ours, otherwise after how many bytes the rest comes.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t first;
    int client;

    if (web == NULL)
        set_up();
    if (len == 0)
        return 0;
    client = connect_client();
    first = data[0] < len - 1 ? data[0] : len - 1;
    if (data[0] != 0) {
        (void)send(client, handshake, sizeof handshake - 1, MSG_NOSIGNAL);
        if (data[0] % 2 == 0) // otherwise the first frames come along with the handshake
            turn(client);
    }
    (void)send(client, data + 1, first, MSG_NOSIGNAL);
    turn(client);
    (void)send(client, data + 1 + first, len - 1 - first, MSG_NOSIGNAL);
    for (int i = 0; i < TURNS; i++)
        turn(client);
    (void)close(client);
    for (int i = 0; i < TURNS || (open_count > 0 && i < 1000); i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert(open_count == 0);
    return 0;
}
