// WebSocket on the HTTP server: the handshake, frames (wslay), and a bounded queue out.
#ifndef BROKER_WEB_WEBSOCKET_H
#define BROKER_WEB_WEBSOCKET_H

#include "broker/web/web.h"

#define WEBSOCKET_TEXT_MAX (16 * 1024)  // bytes of a message from a client
#define WEBSOCKET_QUEUE_MAX (64 * 1024) // bytes that wait to be sent; beyond it nothing is read

enum websocket_status {
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_NOT_ACCEPTABLE = 1003,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TRY_AGAIN = 1013,
};

struct websocket;

// All are called on the loop's thread, and never from within a call of a function below.
struct websocket_config {
    void (*on_open)(void *ctx, struct websocket *socket);
    // A whole message, not NUL-terminated; borrowed for the length of the call.
    void (*on_text)(void *ctx, const char *text, size_t len);
    // There is room for more, after there was none.
    void (*on_room)(void *ctx);
    // The last call, also when on_open was never called: neither the socket nor the request is
    // there any more.
    void (*on_closed)(void *ctx);
    void *ctx;
};

// Is this a good handshake? Otherwise *reason says what is wrong with it.
bool websocket_check(const struct web_request *request, const char **reason);

// Answers such a request. config is copied; headers as well.
void websocket_accept(struct web_request *request, const struct header *headers,
                      size_t header_count, const struct websocket_config *config);

// Nothing of the client is read while it is held.
void websocket_hold(struct websocket *socket, bool hold);

bool websocket_has_room(const struct websocket *socket);

// Sends a text message; copied. Nothing happens once it is closing.
void websocket_send(struct websocket *socket, const void *text, size_t len);

// Says goodbye; reason: at most 120 bytes. The client may still take what was sent before.
void websocket_close(struct websocket *socket, enum websocket_status status, const char *reason);

// Once a second: cuts a connection whose client does not say goodbye in turn.
void websocket_tick(struct websocket *socket);

#endif
