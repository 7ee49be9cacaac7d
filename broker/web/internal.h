// What the files of broker/web share. Internal to them.
//
//   listen.c      an address becomes a listening handle
//   server.c      accepts, bounds the number of connections, looks at deadlines
//   connection.c  bytes in: the phases of a connection; and its end
//   head.c        the head of a request, and the framing of its body
//   target.c      path and query
//   request.c     what was asked
//   answer.c      bytes out: answers whose bytes are there
//   stream.c      answers that are made while they are sent
//   websocket.c   what a connection may become
//   peers.c       connections per address
#ifndef BROKER_WEB_INTERNAL_H
#define BROKER_WEB_INTERNAL_H

#include "broker/base/buf.h"
#include "broker/web/head.h"
#include "broker/web/peers.h"
#include "broker/web/target.h"
#include "broker/web/web.h"

#define INPUT_BYTES (64 * 1024)

// From one to the next, except that every phase may go to PHASE_LINGER or PHASE_CLOSED.
enum phase {
    PHASE_IDLE,   // between two requests
    PHASE_HEAD,   // something of a head is there
    PHASE_BODY,   // the head has been accepted
    PHASE_WAIT,   // the whole request has been handed over; no answer yet
    PHASE_ANSWER, // the answer is being written, or a stream waits
    PHASE_SKIP,   // answered early: a rest of the body is to be thrown away
    PHASE_LINGER, // our half is closed: what the client still sends is thrown away
    PHASE_SOCKET, // it has become a WebSocket
    PHASE_CLOSED,
};

struct websocket;

struct connection {
    struct web *web;
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    struct connection *prev; // among those of the server
    struct connection *next;
    struct connection *wait_prev; // among those that have sent no whole head, oldest first
    struct connection *wait_next;
    struct web_request *request; // NULL between two
    struct websocket *socket;
    struct peer *peer;
    struct body_reader body_reader;
    struct head_scan scan;
    struct buf early; // came before the answer to what was before it
    enum phase phase;
    uint64_t since_ms;  // when the phase began, or a write last made progress
    uint64_t skip_left; // bytes of a body or of a lingering client that may still be thrown away
    size_t queue;       // bytes that waited to be written when last looked at
    unsigned writes;    // of libuv that have not ended
    bool is_waiting;    // in the list of those that have sent no whole head
    bool reads;         // libuv reads for it
    bool feeding;       // bytes are being worked on further down the stack
    bool closes;        // no request follows
    bool discards;      // nothing of what comes is looked at any more
    bool gone;          // the client has closed its half, or the connection is broken
    bool is_shut;       // our half has been closed
    bool handle_closed;
    uv_shutdown_t shutdown;
};

struct web_request {
    struct web *web;
    struct connection *connection;
    struct arena *arena;
    struct buf raw; // the head as it was sent, then taken apart in place
    struct head head;
    struct target target;
    struct buf body;
    size_t body_held; // bytes of it that count for the server's bound
    void *user;
    void (*on_gone)(void *ctx);
    void *gone_ctx;
    bool handed_over;
    bool answered;
    struct web_request *next; // among the spare ones, or those that have been answered

    bool streaming; // what follows is in use
    struct web_stream stream;
    bool chunked;
    bool reading;   // stream.read is on the stack
    bool waiting;   // until web_wake
    bool woken;     // web_wake came while reading
    bool whole;     // everything was read
    bool broken;    // nothing is read any more
    bool scheduled; // in the list of those to be looked at
    struct web_request *scheduled_prev;
    struct web_request *scheduled_next;
};

struct web {
    const struct web_config *config;
    uv_loop_t *loop;
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    uv_timer_t timer;
    uv_prepare_t prepare;
    int handles; // of the server itself that libuv has not closed yet
    unsigned port;
    char unix_path[108];
    bool is_unix;
    bool listening;
    bool stopping; // every answer is the last one of its connection
    bool closing;
    size_t in_hand;
    size_t bodies; // bytes that are held
    bool had_large_bodies;
    size_t connections_max;
    size_t connection_count;
    struct connection *connections;
    struct connection *waiting;
    struct web_request *spare;
    size_t spare_count;
    struct web_request *answered;  // given back at the end of the loop's turn
    struct web_request *scheduled; // streams to be looked at before the loop polls again
    struct peers *peers;
    size_t turned_away; // connections since the last look at it
    char input[INPUT_BYTES];
    struct buf scratch; // one block of a stream
    struct buf answer;  // one whole answer
};

// listen.c

// RC_CONFIG: logged by the caller with errno's text. Sets web->port and web->unix_path.
enum rc web_listen(struct web *web, const char *listen_on, uv_connection_cb on_connection);

// server.c

// Once the handle is closed and no request is left.
void connection_free_if_done(struct connection *connection);

// connection.c

void connection_begin(struct connection *connection);
void connection_set_phase(struct connection *connection, enum phase phase);

// Refuses what is being read, with on_refusal, and lets no request follow.
void connection_refuse(struct connection *connection, unsigned status, const char *text);

// The answer has been written: goes on with the next request, or ends.
void connection_answered(struct connection *connection);

// Closes our half, and the rest when the client has closed its own.
void connection_linger(struct connection *connection);

// Closes it now. A request in hand stays until it is answered.
void connection_cut(struct connection *connection);

// Goes on reading, if it had been stopped.
void connection_read(struct connection *connection);

// A deadline may have passed.
void connection_tick(struct connection *connection, uint64_t now_ms);

// request.c

struct web_request *request_take(struct connection *connection);

// Parts it from its connection. Its memory stays until the end of the loop's turn, as handlers up
// the stack may still look at it.
void request_give_back(struct web_request *request);

void requests_settle(struct web *web); // the loop's turn ends
void requests_free(struct web *web);

// answer.c

// Status line and headers, the empty line included. length: of the body; negative: unknown.
void answer_head(struct buf *out, struct web_request *request, unsigned status,
                 const struct header *headers, size_t header_count, long long length);

// Sends now what the system takes, and the rest when it takes more. False: the connection is broken
// and will be closed.
bool connection_send(struct connection *connection, const void *data, size_t len);

// As connection_send, and always through the loop, so that others have their turn in between.
bool connection_send_later(struct connection *connection, const void *data, size_t len);

// Ends the request with regard to its connection: no more bytes of the answer come.
void answer_done(struct web_request *request);

// stream.c

// A producer is asked, and told of the end, from the loop alone and never from within a call of its
// own: what is to be done is scheduled until streams_run.
void stream_go_on(struct web_request *request);       // what was written has been taken
void stream_client_gone(struct web_request *request); // nothing more can be written
void stream_break(struct web_request *request);       // as that, even if it waits
void streams_run(struct web *web);

// websocket.c

void websocket_take(struct websocket *socket, char *data, size_t len); // bytes have come
void websocket_sent(struct websocket *socket);                         // all writes have ended
void websocket_gone(struct websocket *socket);                         // the client has
void websocket_let_go(struct websocket *socket); // tells its owner, once, that it is closed
void websocket_end(struct websocket *socket);    // the connection's handle is closed: the last call

#endif
