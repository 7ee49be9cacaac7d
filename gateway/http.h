// HTTP in, HTTP out: what is the same for every request.
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "broker/web/websocket.h"
#include "gateway/gateway.h"

// Registers the metrics. Once.
void http_init(void);

// Each ends the exchange: it and its arena are gone. headers: in addition to the usual ones.
void http_respond(struct exchange *exchange, unsigned status, const char *type,
                  const struct header *headers, size_t header_count, const void *body, size_t len);
void http_refuse(struct exchange *exchange, const struct problem *problem);
void http_fail(struct exchange *exchange, enum rc rc);

// The same with an answer that is made while it is sent, status 200. The exchange stays until
// stream->end has been called.
void http_respond_stream(struct exchange *exchange, const char *type, const struct header *headers,
                         size_t header_count, const struct web_stream *stream);

// The request becomes a WebSocket. The exchange stays until config->on_closed has been called.
void http_upgrade(struct exchange *exchange, const struct websocket_config *config);

// The JSON of a message, with ETag and X-HR-Seq when sequence is not 0.
void http_reply(struct exchange *exchange, const ProtobufCMessage *message, uint64_t sequence);

// Reads the body as the route says, or refuses the exchange and returns NULL.
ProtobufCMessage *http_body(struct exchange *exchange);

// Reads the query parameters as the route says, or refuses the exchange and returns NULL.
ProtobufCMessage *http_query(struct exchange *exchange);

#endif
