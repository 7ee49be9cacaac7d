// Asks a server on the loopback address whether it is up, without blocking.
#ifndef CLIENTS_CLI_SERVE_PROBE_H
#define CLIENTS_CLI_SERVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

// The fields are the probe's own.
struct probe {
    uv_loop_t *loop;
    const char *request;
    const char *expected;
    int port;
    bool busy; // until the connection has been closed
    bool good;
    int64_t started_at_ns;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    char answer[64];
    size_t answer_len;
};

// request: what is sent, NULL when the server speaks first. expected: what a server that is up
// begins its answer with, shorter than 64 bytes. Both are borrowed.
void probe_init(struct probe *probe, uv_loop_t *loop, int port, const char *request,
                const char *expected);

// Begins to ask unless it already does. Call it every now and then until probe_is_good.
void probe_poke(struct probe *probe);

// Once true, always true.
bool probe_is_good(const struct probe *probe);

// The loop has to run once more before the probe's memory may go.
void probe_cancel(struct probe *probe);

#endif
