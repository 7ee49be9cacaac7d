// Cross-origin requests: which pages may use the API from a browser (the Fetch standard).
#ifndef GATEWAY_CORS_H
#define GATEWAY_CORS_H

#include "broker/base/header.h"
#include "gateway/gateway.h"

#define CORS_HEADERS_MAX 4

// The headers of an answer to this exchange, into room for CORS_HEADERS_MAX. Returns how many: none
// unless its origin is allowed.
size_t cors_headers(const struct exchange *exchange, struct header *headers);

// The same of an answer to a browser that asks before it sends (a preflight). 0: this is none.
size_t cors_preflight(const struct exchange *exchange, struct header *headers);

#endif
