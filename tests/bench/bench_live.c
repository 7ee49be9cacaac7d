// Listeners over server-sent events, and changes for them to hear of.
//
//   bench_live HOST PORT KEY LISTENERS CHANGES_PER_SECOND SECONDS
//
// Every listener hears every change. What is measured is the time from a change's own timestamp,
// which its worker sets before the append, until a listener has read the event; and, in the same
// run, the time of the REST request that made the change. With 0 changes it holds the listeners for
// that many seconds. Client and rail share one clock.
#include "broker/base/buf.h"
#include "broker/base/timestamp.h"
#include "tests/bench/load.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define READ_BYTES 65536
#define MAKERS 8
#define TICK_MS 2
#define LINGER_MS 1000

struct times {
    uint32_t *micros;
    size_t count;
    size_t room;
};

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct buf out;
    struct buf in;
    int64_t start_ns; // of the request in hand; 0: it is free
    bool listens;
    bool greeted;
};

static struct {
    const char *host;
    const char *key;
    long rate;
    long seconds;
    long listeners;
    long greeted;
    long due;
    long made;
    long answered;
    long heard;
    struct times delivery;
    struct times request;
    struct client *clients;
    struct client makers[MAKERS];
    uv_timer_t timer;
    int64_t start_ns;
} bench;

static char read_buffer[READ_BYTES];

static void note(struct times *times, int64_t micros)
{
    if (times->count == times->room) {
        times->room = times->room > 0 ? times->room * 2 : 65536;
        times->micros = realloc(times->micros, times->room * sizeof *times->micros);
        if (times->micros == NULL)
            abort();
    }
    times->micros[times->count++] = micros > 0 ? (uint32_t)micros : 0;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double percentile_ms(struct times *times, double share)
{
    if (times->count == 0)
        return 0;
    qsort(times->micros, times->count, sizeof *times->micros, by_size);
    return times->micros[(size_t)((double)(times->count - 1) * share)] / 1000.0;
}

// --- listening -----------------------------------------------------------------------------------

static void hear(struct client *client, const char *line, size_t len)
{
    static const char mark[] = "\"timestamp\":\"";
    const char *at;
    int64_t us;

    if (len > 7 && memcmp(line, "event: ", 7) == 0 && !client->greeted) {
        client->greeted = true;
        bench.greeted++;
        return;
    }
    if (len < 22 || memcmp(line, "data: {\"type\":\"packet", 21) != 0)
        return;
    // The envelope's own timestamp stands near its end, behind those of the packet.
    for (at = line + len - sizeof mark; at > line; at--) {
        if (memcmp(at, mark, sizeof mark - 1) == 0)
            break;
    }
    if (at == line || timestamp_parse(at + sizeof mark - 1, 27, &us) != NULL)
        return;
    bench.heard++;
    note(&bench.delivery, timestamp_now_us() - us);
}

static void take_lines(struct client *client)
{
    char *data = client->in.data;
    size_t start = 0;

    for (;;) {
        char *end =
            client->in.len > start ? memchr(data + start, '\n', client->in.len - start) : NULL;

        if (end == NULL)
            break;
        hear(client, data + start, (size_t)(end - data) - start);
        start = (size_t)(end - data) + 1;
    }
    client->in.len -= start;
    if (client->in.len > 0)
        memmove(data, data + start, client->in.len);
}

// --- making changes ------------------------------------------------------------------------------

// Our gateway writes an answer's head and body in one piece, so its last byte is its end.
static void take_answer(struct client *client)
{
    if (client->in.len < 2 || client->in.data[client->in.len - 1] != '}')
        return;
    note(&bench.request, (clock_now_ns() - client->start_ns) / 1000);
    bench.answered++;
    client->start_ns = 0;
    buf_reset(&client->in);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct client *client = stream->data;

    if (len < 0) {
        (void)fprintf(stderr, "bench_live: %s\n", uv_strerror((int)len));
        exit(1);
    }
    buf_append(&client->in, buffer->base, (size_t)len);
    if (client->listens)
        take_lines(client);
    else
        take_answer(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void send_out(struct client *client)
{
    uv_buf_t buffer = uv_buf_init(client->out.data, (unsigned)client->out.len);

    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, NULL) != 0)
        exit(1);
}

static void make_change(struct client *client)
{
    const char *body = load_create_body();

    buf_reset(&client->out);
    buf_printf(&client->out,
               "POST /api/v1/packets HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               bench.host, bench.key, strlen(body), body);
    client->start_ns = clock_now_ns();
    bench.made++;
    send_out(client);
}

// --- the run -------------------------------------------------------------------------------------

static void report(void)
{
    long expected = bench.answered * bench.listeners;

    (void)printf("{\"bench\":\"live\",\"listeners\":%ld,\"changes\":%ld,\"heard\":%ld,"
                 "\"expected\":%ld,\"delivery_p50_ms\":%.2f,\"delivery_p99_ms\":%.2f,"
                 "\"request_p50_ms\":%.2f,\"request_p99_ms\":%.2f}\n",
                 bench.listeners, bench.answered, bench.heard, expected,
                 percentile_ms(&bench.delivery, .5), percentile_ms(&bench.delivery, .99),
                 percentile_ms(&bench.request, .5), percentile_ms(&bench.request, .99));
    (void)fflush(stdout);
    exit(bench.heard == expected ? 0 : 1);
}

static void on_tick(uv_timer_t *timer)
{
    int64_t ms;

    (void)timer;
    if (bench.greeted < bench.listeners)
        return;
    if (bench.start_ns == 0) {
        bench.start_ns = clock_now_ns();
        (void)printf("{\"bench\":\"live_ready\",\"listeners\":%ld}\n", bench.greeted);
        (void)fflush(stdout);
    }
    ms = (clock_now_ns() - bench.start_ns) / 1000000;
    if (ms > bench.seconds * 1000 + LINGER_MS)
        report();
    if (ms > bench.seconds * 1000)
        return;
    bench.due = ms * bench.rate / 1000;
    for (size_t i = 0; i < MAKERS && bench.made < bench.due; i++) {
        if (bench.makers[i].start_ns == 0)
            make_change(&bench.makers[i]);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *client = connect->data;

    if (status != 0) {
        (void)fprintf(stderr, "bench_live: %s\n", uv_strerror(status));
        exit(1);
    }
    uv_tcp_nodelay(&client->tcp, 1);
    if (uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read) != 0)
        exit(1);
    if (!client->listens)
        return;
    buf_printf(&client->out, "GET /events HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n\r\n",
               bench.host, bench.key);
    send_out(client);
}

static void start(struct client *client, const struct sockaddr_in *address)
{
    uv_tcp_init(uv_default_loop(), &client->tcp);
    client->tcp.data = client;
    client->connect.data = client;
    if (uv_tcp_connect(&client->connect, &client->tcp, (const struct sockaddr *)address,
                       on_connected) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;

    if (argc != 7 || uv_ip4_addr(argv[1], (int)strtol(argv[2], NULL, 10), &address) != 0) {
        (void)fprintf(stderr,
                      "Usage: bench_live HOST PORT KEY LISTENERS CHANGES_PER_SECOND SECONDS\n");
        return 2;
    }
    bench.host = argv[1];
    bench.key = argv[3];
    bench.listeners = strtol(argv[4], NULL, 10);
    bench.rate = strtol(argv[5], NULL, 10);
    bench.seconds = strtol(argv[6], NULL, 10);
    bench.clients = calloc((size_t)bench.listeners + 1, sizeof *bench.clients);
    if (bench.clients == NULL)
        return 1;
    for (long i = 0; i < bench.listeners; i++) {
        bench.clients[i].listens = true;
        start(&bench.clients[i], &address);
    }
    for (size_t i = 0; i < MAKERS; i++)
        start(&bench.makers[i], &address);
    uv_timer_init(uv_default_loop(), &bench.timer);
    uv_timer_start(&bench.timer, on_tick, TICK_MS, TICK_MS);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
