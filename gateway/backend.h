// Commands from the gateway to the workers.
#ifndef GATEWAY_BACKEND_H
#define GATEWAY_BACKEND_H

#include "gateway/gateway.h"

// A worker's refusal, and a failure to reach one, have been answered already when this is called,
// so it is called for successes alone. reply: in the exchange's arena. sequence: 0 when the reply
// has none.
typedef void (*backend_done_fn)(struct exchange *exchange, ProtobufCMessage *reply,
                                uint64_t sequence);

// Sends the command of the exchange's route as its caller, with the headers that the client sent
// along (Idempotency-Key, If-Match, traceparent, ...).
void backend_send(struct exchange *exchange, const ProtobufCMessage *request, backend_done_fn done);

// backend_send of a command that changes a packet, answered with http_reply: remembers the
// sequence, and waits for the audit log first when the client asked for that with X-HR-Durability:
// audited.
void backend_change(struct exchange *exchange, const ProtobufCMessage *request);

// As backend_change, for a command that waits until there is something to give. If the client goes
// away meanwhile, the wait is withdrawn; what was given all the same is handed to give_back, which
// must see to it that nobody else misses it. The exchange is answered afterwards, to nobody.
void backend_wait(struct exchange *exchange, const ProtobufCMessage *request,
                  backend_done_fn give_back);

// Sends a command as the exchange's caller and does not look at the answer: what an exchange whose
// client has gone leaves to be done. headers: may be NULL when header_count is 0.
void backend_tell(struct exchange *exchange, enum command_id command, const struct header *headers,
                  size_t header_count, const void *data, size_t len);

// A command that changes nothing, one of several that make up one answer.
struct backend_query {
    enum command_id command;
    const ProtobufCMessage *request;
    struct arena *arena; // takes everything the query needs, also the reply; stays until it is done
    bool is_current;     // must see what this caller has been told
    // One of them is called, once; perhaps before backend_query returns.
    void (*done)(void *ctx, ProtobufCMessage *reply);
    void (*failed)(void *ctx, const struct problem *problem);
    void *ctx;
};

// query is copied. Unlike with backend_send, failures are the caller's to answer.
void backend_query(struct exchange *exchange, const struct backend_query *query);

#endif
