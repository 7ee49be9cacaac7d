// Requests over NATS, many in flight on one thread.
//
// One wildcard subscription takes all the answers; the last token of a reply subject says which
// request it belongs to. Nothing blocks and no thread waits.
#ifndef BROKER_NATS_REQUEST_H
#define BROKER_NATS_REQUEST_H

#include "broker/nats/conn.h"

struct requests;

// Loop thread, exactly once per request. reply is borrowed, and NULL unless rc is RC_OK.
// An answer in parts is handed over whole. RC_TOO_LARGE: the whole is more than REPLY_BYTES_MAX, or
// the request more than the server takes. RC_TIMEOUT: no answer in time, one whose parts are not
// all there, or the connection broke while waiting: the outcome is unknown. RC_UNAVAILABLE: nobody
// takes such requests now, or nothing was sent: nothing was done.
typedef void (*request_done_fn)(void *ctx, enum rc rc, struct msg *reply);

#define REPLY_BYTES 160 // of a reply subject
#define REPLY_BYTES_MAX (256 * 1024 * 1024)

struct request {
    const char *subject;
    const char *inbox; // second token of the reply subject; NULL: that of requests_open
    const struct header *headers;
    size_t header_count;
    const void *data;
    size_t len;
    int64_t timeout_ms;
    request_done_fn done;
    void *ctx;
    char *reply; // gets the reply subject, REPLY_BYTES; NULL: nobody wants to know it
};

// conn must outlive it. inbox: second token of the reply subjects, which the caller must be allowed
// to subscribe to; "*" when every request brings its own. Borrowed.
struct requests *requests_open(struct conn *conn, uv_loop_t *loop, const char *inbox);

// What it was opened with.
struct conn *requests_conn(const struct requests *requests);

// Everything still waiting is done with RC_CLOSED. NULL is allowed.
void requests_close(struct requests *requests);

// Everything in request is copied or sent before the return, so all of it may be on the stack.
// done may be called before request_send returns (with RC_UNAVAILABLE or RC_TOO_LARGE).
void request_send(struct requests *requests, const struct request *request);

// Watches whether a message that the caller publishes itself, with this reply subject and at once,
// is taken. done: RC_UNAVAILABLE: nobody subscribes to its subject; RC_TIMEOUT: it was delivered,
// or that is not known. RC_UNAVAILABLE: nothing is watched, done is not called.
enum rc request_expect(struct requests *requests, int64_t timeout_ms, request_done_fn done,
                       void *ctx, char reply[REPLY_BYTES]) MUST_CHECK;

#endif
