// Webhooks over HTTP.
#ifndef GATEWAY_HOOKS_H
#define GATEWAY_HOOKS_H

#include "gateway/gateway.h"

void hooks_create(struct exchange *exchange);
void hooks_list(struct exchange *exchange);
void hooks_get(struct exchange *exchange);
void hooks_update(struct exchange *exchange);
void hooks_delete(struct exchange *exchange);
void hooks_test(struct exchange *exchange);
void hooks_rotate(struct exchange *exchange);
void hooks_recover(struct exchange *exchange);
void hooks_deliveries(struct exchange *exchange);
void hooks_delivery(struct exchange *exchange);
void hooks_dlq(struct exchange *exchange);
void hooks_replay(struct exchange *exchange);
void hooks_retry_all(struct exchange *exchange);

#endif
