// One connection at a time: connect, send, search the answer, close.
#define _GNU_SOURCE // memmem

#include "clients/cli/serve/probe.h"

#include "broker/base/timestamp.h"

#include <assert.h>
#include <string.h>

void probe_init(struct probe *probe, uv_loop_t *loop, const struct probe_spec *spec)
{
    assert(strlen(spec->expected) < PROBE_ANSWER_BYTES / 2);
    *probe = (struct probe){.loop = loop, .spec = *spec};
}

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;

    probe->busy = false;
}

void probe_cancel(struct probe *probe)
{
    if (probe->busy && !uv_is_closing(&probe->handle.any))
        uv_close(&probe->handle.any, on_closed);
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
    size_t wanted = strlen(probe->spec.expected);

    (void)room;
    if (len < 0) {
        probe_cancel(probe);
        return;
    }
    probe->answer_len += (size_t)len;
    if (memmem(probe->answer, probe->answer_len, probe->spec.expected, wanted) != NULL)
        probe->good = true;
    // Where the server closes when all is said, cutting it short would upset it.
    if (probe->good && probe->spec.stays_open)
        probe_cancel(probe);
    // The expected words may go on in what comes next.
    if (probe->answer_len >= wanted) {
        memmove(probe->answer, probe->answer + probe->answer_len - (wanted - 1), wanted - 1);
        probe->answer_len = wanted - 1;
    }
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
        status = uv_read_start(&probe->handle.stream, on_room, on_bytes);
    if (status == 0 && probe->spec.request != NULL) {
        uv_buf_t bytes =
            uv_buf_init((char *)probe->spec.request, (unsigned)strlen(probe->spec.request));

        probe->write.data = probe;
        status = uv_write(&probe->write, &probe->handle.stream, &bytes, 1, on_sent);
    }
    if (status < 0)
        probe_cancel(probe);
}

static void begin(struct probe *probe)
{
    const struct probe_spec *spec = &probe->spec;
    struct sockaddr_in address;

    if (spec->path != NULL ? uv_pipe_init(probe->loop, &probe->handle.pipe, 0) != 0
                           : uv_ip4_addr("127.0.0.1", spec->port, &address) != 0 ||
                                 uv_tcp_init(probe->loop, &probe->handle.tcp) != 0)
        return;
    probe->busy = true;
    probe->started_at_ns = clock_now_ns();
    probe->answer_len = 0;
    probe->handle.any.data = probe;
    probe->connect.data = probe;
    if (spec->path != NULL)
        uv_pipe_connect(&probe->connect, &probe->handle.pipe, spec->path, on_connected);
    else if (uv_tcp_connect(&probe->connect, &probe->handle.tcp, (const struct sockaddr *)&address,
                            on_connected) != 0)
        probe_cancel(probe);
}

void probe_poke(struct probe *probe)
{
    if (probe->good)
        return;
    if (!probe->busy)
        begin(probe);
    else if (clock_now_ns() - probe->started_at_ns > probe->spec.patience_ms * 1000000)
        probe_cancel(probe);
}

bool probe_is_good(const struct probe *probe)
{
    return probe->good;
}

void probe_forget(struct probe *probe)
{
    probe->good = false;
}
