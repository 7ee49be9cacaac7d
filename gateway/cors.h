// Cross-origin requests: which pages may use the API from a browser (the Fetch standard).
#ifndef GATEWAY_CORS_H
#define GATEWAY_CORS_H

#include "gateway/gateway.h"

#define CORS_HEADERS_MAX 4

// The headers of an answer to this exchange, into room for CORS_HEADERS_MAX. Returns how many: none
// unless its origin is allowed.
size_t cors_headers(const struct exchange *exchange, struct header *headers);

// Answers a browser that asks before it sends (a preflight). False: this is none.
bool cors_preflight(struct exchange *exchange);

#endif
