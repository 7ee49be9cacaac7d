// Statistics over HTTP.
#ifndef GATEWAY_NUMBERS_H
#define GATEWAY_NUMBERS_H

#include "gateway/gateway.h"

void numbers_stats(struct exchange *exchange);
void numbers_health(struct exchange *exchange);

#endif
