// Whole packet lifecycles over REST: create, claim, in_progress, completed.
//
//   bench_rest HOST PORT KEY LIFECYCLES CONNECTIONS
//
// Each connection does one lifecycle after the other on a kept-alive socket. The client reads just
// as much HTTP as our own gateway writes; it is a load generator, not a parser.
#include "broker/base/buf.h"
#include "broker/base/timestamp.h"
#include "tests/bench/load.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define READ_BYTES 16384

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct buf out;
    struct buf in;
    char packet_id[40];
    int step;
    int64_t start_ns;
};

static struct {
    const char *host;
    const char *key;
    struct load load;
} bench;

static char read_buffer[READ_BYTES];

static void send_step(struct client *client);

static void on_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    buf_fini(&client->out);
    buf_fini(&client->in);
}

static void stop(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, on_closed);
}

static void begin(struct client *client)
{
    if (bench.load.started == bench.load.count) {
        stop(client);
        return;
    }
    bench.load.started++;
    client->step = 0;
    client->start_ns = clock_now_ns();
    send_step(client);
}

static void on_answer(struct client *client, int status, const char *body)
{
    const char *id = strstr(body, "\"id\":\"");

    if (status != (client->step == 0 ? 201 : 200)) {
        if (bench.load.failed++ < 5)
            (void)fprintf(stderr, "step %d: %d %.200s\n", client->step, status, body);
        begin(client);
        return;
    }
    if (client->step == 0 && id != NULL) {
        memcpy(client->packet_id, id + 6, 36);
        client->packet_id[36] = '\0';
    }
    if (++client->step == LIFECYCLE_STEPS) {
        load_finish(&bench.load, client->start_ns);
        begin(client);
        return;
    }
    send_step(client);
}

// True when a whole answer is there.
static bool take_answer(struct client *client)
{
    const char *text = buf_text(&client->in);
    const char *body = strstr(text, "\r\n\r\n");
    const char *length;
    size_t len = 0;
    int status;

    if (body == NULL)
        return false;
    body += 4;
    for (length = strchr(text, '\n'); length != NULL && length < body;
         length = strchr(length + 1, '\n')) {
        if (strncasecmp(length + 1, "content-length:", 15) == 0)
            len = strtoul(length + 16, NULL, 10);
    }
    if (client->in.len < (size_t)(body - text) + len)
        return false;
    status = (int)strtol(text + 9, NULL, 10);
    buf_reset(&client->in); // one request at a time: nothing follows
    on_answer(client, status, body);
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    (void)size;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = stream->data;

    if (count < 0) {
        bench.load.failed++;
        stop(client);
        return;
    }
    buf_append(&client->in, buf->base, (size_t)count);
    (void)take_answer(client);
}

static void send_step(struct client *client)
{
    const char *body = client->step == 0   ? load_create_body()
                       : client->step == 1 ? load_claim_body()
                                           : load_status_body(client->step);
    uv_buf_t out;

    buf_reset(&client->out);
    buf_puts(&client->out, client->step < 2 ? "POST" : "PATCH");
    buf_puts(&client->out, " /api/v1/packets");
    if (client->step > 0)
        buf_printf(&client->out, "/%s", client->packet_id);
    if (client->step == 1)
        buf_puts(&client->out, "/claim");
    buf_printf(&client->out,
               " HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               bench.host, bench.key, strlen(body), body);
    out = uv_buf_init(client->out.data, (unsigned)client->out.len);
    uv_write(&client->write, (uv_stream_t *)&client->tcp, &out, 1, NULL);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *client = connect->data;

    if (status != 0) {
        (void)fprintf(stderr, "connect: %s\n", uv_strerror(status));
        bench.load.failed++;
        stop(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
    begin(client);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    struct client *clients;
    int connections;

    if (argc != 6 || uv_ip4_addr(argv[1], (int)strtol(argv[2], NULL, 10), &address) != 0) {
        (void)fprintf(stderr, "Usage: %s HOST PORT KEY LIFECYCLES CONNECTIONS\n", argv[0]);
        return 2;
    }
    bench.host = argv[1];
    bench.key = argv[3];
    connections = (int)strtol(argv[5], NULL, 10);
    load_init(&bench.load, "rest lifecycles", strtol(argv[4], NULL, 10), connections);
    clients = calloc((size_t)connections, sizeof *clients);
    if (clients == NULL)
        abort();
    for (int i = 0; i < connections; i++) {
        uv_tcp_init(uv_default_loop(), &clients[i].tcp);
        clients[i].tcp.data = &clients[i];
        clients[i].connect.data = &clients[i];
        uv_tcp_connect(&clients[i].connect, &clients[i].tcp, (struct sockaddr *)&address,
                       on_connected);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    load_print(&bench.load, LIFECYCLE_STEPS, stdout);
    long finished = bench.load.finished;
    load_fini(&bench.load);
    free(clients);
    return finished == bench.load.count && bench.load.failed == 0 ? 0 : 1;
}
