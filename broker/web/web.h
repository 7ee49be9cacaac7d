// An HTTP/1.1 server on the libuv loop.
//
// A request is offered twice: when its head is there (on_head), so that it can be refused before
// its body is read, and when its body is there as well (on_request). It may be answered at once or
// later; while it waits, its connection costs a few hundred bytes and no thread.
//
// Framing is strict (RFC 9112): a message whose length could be read in two ways is refused and its
// connection is closed. Heads, bodies and answers have deadlines, and the number of connections is
// bounded, so that a client that sends nothing takes no place from one that does.
//
// All functions and callbacks: loop thread.
#ifndef BROKER_WEB_WEB_H
#define BROKER_WEB_WEB_H

#include "broker/base/arena.h"
#include "broker/base/header.h"
#include "broker/base/rc.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct web;
struct web_request;

#define WEB_HEAD_MAX (64 * 1024)   // bytes of a request line and its headers; more is 431
#define WEB_TARGET_MAX (48 * 1024) // bytes of a request target; more is 414
#define WEB_HEADERS_MAX 100        // more is 431
#define WEB_PARAMETERS_MAX 1000    // in a query; more is 414
#define WEB_KEEP_ALIVE_SECONDS 75  // an idle connection is closed after that

struct web_config {
    const char *listen;     // "host:port", "[v6]:port", "unix:/path"; port 0 takes a free one
    size_t body_max;        // bytes of one body; longer ones are refused with 413
    size_t bodies_max;      // bytes of all bodies that are held; 503 beyond it. 0: no bound
    size_t connections_max; // 0: a default. At the bound the one that has waited longest without
                            // having sent a whole head is closed for a new one
    size_t per_address_max; // connections from one address; 0: no bound
    const char *trusted; // addresses without that bound: "127.0.0.1, 10.0.0.0/8, ::1"; may be NULL

    // The head of a request is there, its body is not. May respond, and then on_request is not
    // called. NULL: nothing is refused.
    void (*on_head)(void *ctx, struct web_request *request);
    // The whole request is there. Must see to it that web_respond is called exactly once, now or
    // later.
    void (*on_request)(void *ctx, struct web_request *request);
    // The request cannot be read, or is refused for its size or its slowness. Must respond at once,
    // with this status. Of the request there may be no path, method or header. NULL: plain text.
    void (*on_refusal)(void *ctx, struct web_request *request, unsigned status, const char *text);
    void *ctx;
};

// config is borrowed. RC_CONFIG: the address or the trusted ones cannot be understood, or the
// address is in use; logged.
enum rc web_open(struct web **web, uv_loop_t *loop, const struct web_config *config) MUST_CHECK;

// The port in use, 0 for a Unix socket.
unsigned web_port(const struct web *web);

// From now on every answer closes its connection, so that clients take another server; still
// listens.
void web_stop_keeping_alive(struct web *web);

// No new connections and no further requests on those that are open; requests in hand go on.
void web_stop_listening(struct web *web);

// Requests handed over and not yet answered; a stream is answered at its end.
size_t web_in_hand(const struct web *web);

// NULL is allowed. Requests in hand must have been answered; streams are broken off. The loop must
// run once more afterwards.
void web_close(struct web *web);

// --- what was asked: everything lives as long as the request -------------------------------------

const char *web_method(const struct web_request *request); // "" if it could not be read
// Decoded, without the query; "" if it could not be read. "%2F" and "%00" stay as they were sent.
const char *web_path(const struct web_request *request);
// Without blanks around it. Of several, the first. NULL: absent. name: any case.
const char *web_header(const struct web_request *request, const char *name);
const void *web_body(const struct web_request *request, size_t *len);
struct arena *web_arena(struct web_request *request);

// A query parameter, decoded. A NUL stands behind the value; it may hold others.
struct web_parameter {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

// All of them in their order.
const struct web_parameter *web_parameters(const struct web_request *request, size_t *count);

// The last one of that name. NULL: absent.
const struct web_parameter *web_parameter(const struct web_request *request, const char *name);

// Its value as a string. NULL: absent, or it holds a NUL.
const char *web_query(const struct web_request *request, const char *name);

// The path without its last cut bytes, and the query, as they were sent: for a redirection.
const char *web_location(struct web_request *request, size_t cut);

// The scheme and authority under which the client reached this server: "http://host:port"; "" if
// it named none. For absolute redirections.
const char *web_origin(struct web_request *request);

// What the caller attached to the request; NULL at first.
void web_set_user(struct web_request *request, void *user);
void *web_user(const struct web_request *request);

// Calls gone once if the client closes its side of the connection before the answer. The request
// must be answered all the same.
void web_on_gone(struct web_request *request, void (*gone)(void *ctx), void *ctx);

// The client has closed its side, or the connection is broken.
bool web_is_gone(const struct web_request *request);

// --- answers -------------------------------------------------------------------------------------

// Ends the request. body and headers are copied. A header whose value holds a line break is left
// out, and logged.
void web_respond(struct web_request *request, unsigned status, const struct header *headers,
                 size_t header_count, const void *body, size_t len);

enum web_more {
    WEB_MORE,  // some bytes, at least one
    WEB_LATER, // none yet: web_wake will say when
    WEB_END,   // that was all
    WEB_BREAK, // it cannot be finished: the connection is cut, so that the client sees that
};

// Where the bytes of a streamed answer come from.
struct web_stream {
    // Puts up to cap bytes into out and sets *len. Called when the client has taken what there
    // was, and not before: a slow reader slows the producer down.
    enum web_more (*read)(void *ctx, char *out, size_t cap, size_t *len);
    // The client went away while the stream waits, also by closing only its own half. Nothing more
    // is read, but everything stays until web_wake. NULL: it is noticed with the next bytes.
    void (*gone)(void *ctx);
    // The last call, sooner or later, whatever happened; never while the stream waits. whole: all
    // has been handed to the system. The request and its arena are gone afterwards.
    void (*end)(void *ctx, bool whole);
    void *ctx;
    size_t block; // bytes asked for at a time, at most
};

// Begins an answer that is made while it is sent, of unknown length. headers and *stream are
// copied.
void web_respond_stream(struct web_request *request, unsigned status, const struct header *headers,
                        size_t header_count, const struct web_stream *stream);

// There is something to read again. Does nothing unless the stream waits.
void web_wake(struct web_request *request);

#endif
