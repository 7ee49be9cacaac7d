// One connection at a time: connect, send, compare the first bytes, close.
#include "clients/cli/serve/probe.h"

#include "broker/base/timestamp.h"

#include <assert.h>
#include <string.h>

#define PATIENCE_NS 2000000000LL // for one answer

void probe_init(struct probe *probe, uv_loop_t *loop, int port, const char *request,
                const char *expected)
{
    assert(strlen(expected) < sizeof probe->answer);
    *probe = (struct probe){.loop = loop, .port = port, .request = request, .expected = expected};
}

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;

    probe->busy = false;
}

void probe_cancel(struct probe *probe)
{
    if (probe->busy && !uv_is_closing((uv_handle_t *)&probe->tcp))
        uv_close((uv_handle_t *)&probe->tcp, on_closed);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct probe *probe = handle->data;

    (void)suggested;
    room->base = probe->answer + probe->answer_len;
    room->len = sizeof probe->answer - probe->answer_len;
}

static void on_bytes(uv_stream_t *stream, ssize_t len, const uv_buf_t *room)
{
    struct probe *probe = stream->data;
    size_t wanted = strlen(probe->expected);

    (void)room;
    if (len < 0) {
        probe_cancel(probe);
        return;
    }
    probe->answer_len += (size_t)len;
    if (probe->answer_len < wanted)
        return;
    probe->good = probe->good || memcmp(probe->answer, probe->expected, wanted) == 0;
    if (probe->request == NULL)
        probe_cancel(probe); // this server waits for us now
    else
        probe->answer_len = wanted; // it closes when all is said; cutting it short would upset it
}

static void on_sent(uv_write_t *write, int status)
{
    if (status < 0)
        probe_cancel(write->data);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct probe *probe = connect->data;

    if (status == 0)
        status = uv_read_start((uv_stream_t *)&probe->tcp, on_room, on_bytes);
    if (status == 0 && probe->request != NULL) {
        uv_buf_t bytes = uv_buf_init((char *)probe->request, (unsigned)strlen(probe->request));

        probe->write.data = probe;
        status = uv_write(&probe->write, (uv_stream_t *)&probe->tcp, &bytes, 1, on_sent);
    }
    if (status < 0)
        probe_cancel(probe);
}

void probe_poke(struct probe *probe)
{
    struct sockaddr_in address;

    if (probe->good)
        return;
    if (probe->busy) {
        if (clock_now_ns() - probe->started_at_ns > PATIENCE_NS)
            probe_cancel(probe);
        return;
    }
    if (uv_ip4_addr("127.0.0.1", probe->port, &address) != 0 ||
        uv_tcp_init(probe->loop, &probe->tcp) != 0)
        return;
    probe->busy = true;
    probe->started_at_ns = clock_now_ns();
    probe->answer_len = 0;
    probe->tcp.data = probe;
    probe->connect.data = probe;
    if (uv_tcp_connect(&probe->connect, &probe->tcp, (const struct sockaddr *)&address,
                       on_connected) != 0)
        probe_cancel(probe);
}

bool probe_is_good(const struct probe *probe)
{
    return probe->good;
}
