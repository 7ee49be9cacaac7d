// /api/v1/packets
#ifndef GATEWAY_PACKETS_H
#define GATEWAY_PACKETS_H

#include "gateway/gateway.h"

void packets_list(struct exchange *exchange);
void packets_search(struct exchange *exchange);
void packets_awaiting(struct exchange *exchange);
void packets_create(struct exchange *exchange);
void packets_get(struct exchange *exchange);
void packets_update(struct exchange *exchange);
void packets_delete(struct exchange *exchange);
void packets_claim(struct exchange *exchange);
void packets_batch_create(struct exchange *exchange);
void packets_batch_claim(struct exchange *exchange);
void packets_batch_complete(struct exchange *exchange);
void packets_batch_respond(struct exchange *exchange);
void packets_claim_next(struct exchange *exchange);
void packets_heartbeat(struct exchange *exchange);
void packets_release(struct exchange *exchange);
void packets_decline(struct exchange *exchange);
void packets_respond(struct exchange *exchange);
void packets_history(struct exchange *exchange);
void packets_chain(struct exchange *exchange);
void packets_tree(struct exchange *exchange);
void packets_context(struct exchange *exchange);

#endif
