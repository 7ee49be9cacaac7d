// Asks a server on this machine a question, and looks for words in its answer, without blocking.
#ifndef CLIENTS_CLI_SERVE_PROBE_H
#define CLIENTS_CLI_SERVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

// Where to ask, and what. Everything is borrowed.
struct probe_spec {
    int port;             // on the loopback address, when path is NULL
    const char *path;     // of a Unix socket
    const char *request;  // what is sent; NULL: the server speaks first
    const char *expected; // what a good answer has in it, shorter than PROBE_ANSWER_BYTES / 2
    bool stays_open;      // the server does not close when all is said, so the probe does
    int64_t patience_ms;  // for one answer
};

#define PROBE_ANSWER_BYTES 256

// The fields are the probe's own.
struct probe {
    struct probe_spec spec;
    uv_loop_t *loop;
    bool busy; // until the connection has been closed
    bool good;
    int64_t started_at_ns;
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    uv_connect_t connect;
    uv_write_t write;
    char answer[PROBE_ANSWER_BYTES]; // what has not been searched yet, and the end of what has
    size_t answer_len;
};

void probe_init(struct probe *probe, uv_loop_t *loop, const struct probe_spec *spec);

// Begins to ask unless it already does. Call it every now and then until probe_is_good.
void probe_poke(struct probe *probe);

// Once true, true until probe_forget.
bool probe_is_good(const struct probe *probe);

// The next probe_poke asks again.
void probe_forget(struct probe *probe);

// The loop has to run once more before the probe's memory may go. A zeroed struct is allowed.
void probe_cancel(struct probe *probe);

#endif
