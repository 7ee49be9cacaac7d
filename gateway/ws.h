// Live changes over WebSocket: GET /ws.
#ifndef GATEWAY_WS_H
#define GATEWAY_WS_H

#include "gateway/gateway.h"

void ws_listen(struct exchange *exchange);

#endif
