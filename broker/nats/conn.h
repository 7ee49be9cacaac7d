// The connection to NATS, on a libuv loop.
//
// libnats delivers on its own thread; conn hands every message over to the loop's thread, so that
// all code above it runs on one thread and needs no locks.
#ifndef BROKER_NATS_CONN_H
#define BROKER_NATS_CONN_H

#include "broker/base/header.h"
#include "broker/base/rc.h"
#include "broker/nats/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct conn;
struct subscription;

// Loop thread. The message is borrowed for the length of the call. It may be the server's word that
// nobody took what was sent with the message's subject for a reply: see msg_is_no_responders.
typedef void (*conn_message_fn)(void *ctx, struct msg *msg);

// Loop thread. up: connected now; otherwise what was sent may be lost and no answer will come.
typedef void (*conn_state_fn)(void *ctx, bool up);

struct conn_config {
    const char *url;      // one to 16, separated by commas, of at most 1,023 bytes in all
    const char *name;     // of this client, for the server's monitoring
    const char *user;     // "" for none
    const char *password; // never logged
};

// Connects, waiting up to wait_ms for the server to come up; reconnects by itself from then on, for
// ever. Must be called on the thread that runs the loop, which it blocks meanwhile; one try takes 2
// s at most for each server. RC_UNAVAILABLE: no server could be reached; logged unless wait_ms is
// 0. RC_REFUSED: a server refused the credentials, logged. RC_CONFIG: bad settings, logged.
enum rc conn_open(struct conn **conn, uv_loop_t *loop, const struct conn_config *config,
                  int64_t wait_ms) MUST_CHECK;

// Closes. NULL is allowed. The loop must run once more afterwards for its handles to go.
void conn_close(struct conn *conn);

// Ends the client library's own threads, once every connection has gone: for the end of main.
void conn_library_close(void);

bool conn_is_up(const struct conn *conn);

// Largest payload the server takes, in bytes.
size_t conn_max_payload(const struct conn *conn);

// Called whenever the state changes.
void conn_on_state(struct conn *conn, conn_state_fn on_state, void *ctx);

// Removes the listener registered with this ctx; also while listeners are being called.
void conn_forget_state(struct conn *conn, void *ctx);

// Called once, when the connection is beyond repair and the program should end.
void conn_on_lost(struct conn *conn, void (*on_lost)(void *ctx), void *ctx);

// Calls on_message for everything on subject; with a queue group, for this member's share. There
// may be any number of subscriptions, but each costs something in every turn of the loop: what
// would need many shares one (see shared_inbox.h and request.h). queue: NULL for none. RC_IO:
// logged.
enum rc conn_subscribe(struct subscription **sub, struct conn *conn, const char *subject,
                       const char *queue, conn_message_fn on_message, void *ctx) MUST_CHECK;

// No more messages of it will be delivered to on_message, from now on. NULL is allowed.
void conn_unsubscribe(struct subscription *sub);

// The server sends no more to it; what is on its way still goes to on_message. NULL is allowed.
void conn_drain(struct subscription *sub);

// How many drained subscriptions may still deliver something.
size_t conn_draining(const struct conn *conn);

// Sends without waiting. reply: NULL for none. headers: may be NULL when header_count is 0.
// RC_UNAVAILABLE: not connected; nothing was sent. RC_TOO_LARGE: larger than conn_max_payload.
enum rc conn_publish(struct conn *conn, const char *subject, const char *reply,
                     const struct header *headers, size_t header_count, const void *data,
                     size_t len) MUST_CHECK;

#endif
