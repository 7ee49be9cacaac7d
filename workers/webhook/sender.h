// HTTP POSTs, many at a time, on the loop.
//
// Whatever a URL resolves to when it is dialled is held against the list of blocked addresses: no
// connection is made to one. Redirects are not followed, proxies of the environment are not used,
// certificates are checked, and of an answer at most ANSWER_BYTES_MAX are read.
#ifndef WORKERS_WEBHOOK_SENDER_H
#define WORKERS_WEBHOOK_SENDER_H

#include "broker/nats/conn.h"

#include <uv.h>

#define SENDER_BODY_KEPT 1024 // bytes of an answer's body, and
#define SENDER_HEAD_KEPT 2048 // of its head that are kept
#define SENDER_ERROR_BYTES 256

struct sender;

struct sender_config {
    uv_loop_t *loop;
    int64_t timeout_ms;        // of the whole exchange
    const char *allowed_hosts; // comma list of hosts that may have a blocked address; borrowed
    const char *ca_file;       // "" for the system's
};

struct sender_result {
    long status; // 0: there was no answer
    char error[SENDER_ERROR_BYTES];
    char head[SENDER_HEAD_KEPT];
    size_t head_len;
    char body[SENDER_BODY_KEPT];
    size_t body_len;
    int64_t retry_after_us; // 0: it did not ask for a pause
    int64_t took_us;
};

// Loop thread, exactly once. result is borrowed.
typedef void (*sender_done_fn)(void *ctx, const struct sender_result *result);

struct sender_request {
    const char *url;
    const struct header *headers;
    size_t header_count;
    const void *body; // borrowed until it is done
    size_t len;
    sender_done_fn done;
    void *ctx;
};

// RC_INTERNAL: libcurl cannot be used; logged.
enum rc sender_open(struct sender **sender, const struct sender_config *config) MUST_CHECK;

// What is under way is given up, and done is not called for it. NULL is allowed.
void sender_close(struct sender *sender);

// done is never called before the return.
void sender_post(struct sender *sender, const struct sender_request *request);

#endif
