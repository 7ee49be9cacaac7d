// An HTTP server on the libuv loop: libmicrohttpd without threads of its own.
//
// A request is handed over once its whole body is there, and may be answered at once or later;
// until then its connection costs nothing.
#ifndef BROKER_WEB_H
#define BROKER_WEB_H

#include "broker/base/arena.h"
#include "broker/base/rc.h"
#include "broker/conn.h"

#include <uv.h>

struct web;
struct web_request;

struct web_config {
    const char *listen; // "host:port", "[v6]:port", "unix:/path"; port 0 takes a free one
    size_t body_max;    // bytes; longer bodies are never buffered
    // Loop thread. Must see to it that web_respond is called exactly once, now or later.
    void (*on_request)(void *ctx, struct web_request *request);
    // A body that is too long: called instead, when that is known. Must respond at once.
    void (*on_too_large)(void *ctx, struct web_request *request, uint64_t len);
    void *ctx;
};

// RC_CONFIG: the address cannot be understood or is in use; logged.
enum rc web_open(struct web **web, uv_loop_t *loop, const struct web_config *config) MUST_CHECK;

// The port in use, 0 for a Unix socket.
unsigned web_port(const struct web *web);

// No new connections; requests in hand go on.
void web_stop_listening(struct web *web);

// Requests handed over and not yet answered; a stream is answered at its end.
size_t web_in_hand(const struct web *web);

// NULL is allowed. Requests in hand must have been answered; streams are broken off.
void web_close(struct web *web);

// All of these live as long as the request.
const char *web_method(const struct web_request *request);
const char *web_path(const struct web_request *request); // decoded, without the query
const char *web_header(const struct web_request *request,
                       const char *name); // NULL: absent; any case
const void *web_body(const struct web_request *request, size_t *len);
struct arena *web_arena(struct web_request *request);

// The last value of a query parameter, decoded. NULL: absent.
const char *web_query(const struct web_request *request, const char *name);

// All the values of one, in their order.
void web_query_each(const struct web_request *request, const char *name,
                    void (*visit)(void *ctx, const char *value), void *ctx);

// Where the request went, encoded, with only the first len bytes of its path: for a redirection.
const char *web_location(struct web_request *request, size_t len);

// Ends the request. body and headers are copied.
void web_respond(struct web_request *request, unsigned status, const struct header *headers,
                 size_t header_count, const void *body, size_t len);

// --- answers that are made while they are sent ---------------------------------------------------

enum web_more {
    WEB_MORE,  // some bytes, at least one
    WEB_LATER, // none yet: web_wake will say when
    WEB_END,   // that was all
    WEB_BREAK, // it cannot be finished: the connection is cut, so that the client sees that
};

// Where the bytes come from. All are called on the loop's thread.
struct web_stream {
    // Puts up to cap bytes into out and sets *len. Called whenever the client has taken what there
    // was, and not before: a slow reader slows the producer down.
    enum web_more (*read)(void *ctx, char *out, size_t cap, size_t *len);
    // The client went away while the stream waits, also by closing only its own half. Nothing more
    // is read, but everything stays until web_wake. NULL: it is noticed with the next bytes.
    void (*gone)(void *ctx);
    // The last call, sooner or later, whatever happened; never while the stream waits. whole: all
    // has been handed to the system. The request and its arena are gone afterwards.
    void (*end)(void *ctx, bool whole);
    void *ctx;
    size_t block; // bytes asked for at a time, at most; it is also what a stream that waits costs
};

// Begins such an answer; of unknown length, so in chunks. headers and *stream are copied.
void web_respond_stream(struct web_request *request, unsigned status, const struct header *headers,
                        size_t header_count, const struct web_stream *stream);

// There is something to read again. Does nothing unless the stream waits.
void web_wake(struct web_request *request);

#endif
