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

// Requests handed over and not yet answered.
size_t web_in_hand(const struct web *web);

// NULL is allowed. Requests in hand must have been answered.
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

// Where the request went, encoded, with only the first len bytes of its path: for a redirection.
const char *web_location(struct web_request *request, size_t len);

// Ends the request. body and headers are copied.
void web_respond(struct web_request *request, unsigned status, const struct header *headers,
                 size_t header_count, const void *body, size_t len);

#endif
