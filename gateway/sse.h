// Server-sent events: GET /events.
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

#include "gateway/gateway.h"

void sse_listen(struct exchange *exchange);

#endif
