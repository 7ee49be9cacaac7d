// How a request to listen begins, whether by SSE or by WebSocket.
#ifndef GATEWAY_LISTEN_H
#define GATEWAY_LISTEN_H

#include "broker/base/id.h"
#include "gateway/gateway.h"
#include "gateway/live/live.h"

// What both have.
struct listening {
    struct exchange *exchange;
    struct channels *channels; // owned
    struct listener *listener; // owned; NULL until listen_start
    char id[UUID_TEXT_BYTES];  // of the connection, for people
    int64_t pinged_ns;
};

// Reads the query's channels and the place to go on from (query "since", header
// or query "Last-Event-ID"). False: the exchange has been refused. listen_end must follow.
bool listen_read(struct listening *listening, struct listener_config *config,
                 struct exchange *exchange);

void listen_end(struct listening *listening);

// Once a second: is a ping due?
bool listen_ping_is_due(struct listening *listening);

// Why a listener was ended, for its client; NULL while it hears.
const char *listen_reason(const struct listening *listening);

// "2026-11-21T07:00:00.000000Z", in the buffer.
const char *listen_now(char buffer[TIMESTAMP_TEXT_BYTES]);

#endif
