// /health, /ready and /metrics
#ifndef GATEWAY_SYSTEM_H
#define GATEWAY_SYSTEM_H

#include "gateway/gateway.h"

void system_health(struct exchange *exchange);
void system_ready(struct exchange *exchange);
void system_metrics(struct exchange *exchange);

// The API document.
void system_openapi(struct exchange *exchange);

#endif
