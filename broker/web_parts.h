// What web.c, web_stream.c and websocket.c share. Internal to these three.
#ifndef BROKER_WEB_PARTS_H
#define BROKER_WEB_PARTS_H

#include "broker/base/buf.h"
#include "broker/web.h"
#include "broker/websocket.h"

#include <microhttpd.h>

struct web_request {
    struct web *web;
    struct MHD_Connection *connection;
    struct arena *arena;
    const char *method;
    const char *path;
    struct buf body;
    uint64_t received;
    bool too_large;
    bool handed_over;
    bool suspended;
    bool responded;
    unsigned status;
    struct MHD_Response *response;
    struct web_request *next;   // in the list of spare ones, or of those that stream
    struct websocket *upgraded; // it has become a WebSocket

    bool streaming; // what follows is in use
    struct web_stream stream;
    struct web_request *previous;
    bool reading;    // stream.read is on the stack
    bool waiting;    // suspended until web_wake
    bool woken;      // web_wake came while reading
    bool whole;      // everything was read
    bool broken;     // nothing is read any more
    bool has_socket; // the handle is open
    uv_poll_t socket;
};

struct web {
    const struct web_config *config;
    struct MHD_Daemon *daemon;
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    bool resumed; // a request was answered during this turn of the loop
    int handles;  // that libuv has not closed yet
    unsigned port;
    char unix_path[108];
    size_t in_hand;
    struct web_request *streams; // those that stream
    struct websocket *sockets;
    struct web_request *spare;
    size_t spare_count;
};

// web.c

// Takes response. A stream is in hand until it ends.
void web_answer(struct web_request *request, unsigned status, const struct header *headers,
                size_t header_count, struct MHD_Response *response);
void web_request_free(struct web_request *request);

// web_stream.c

// libmicrohttpd is done with it; frees the request.
void web_stream_end(struct web_request *request, bool delivered);

// Nothing is read any more, and what waits goes on to its end.
void web_stream_break_all(struct web *web);

// websocket.c

// libmicrohttpd is done with it.
void websocket_end(struct websocket *socket);

// All of them are cut.
void websocket_break_all(struct web *web);

#endif
