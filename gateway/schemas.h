// JSON Schemas over HTTP.
#ifndef GATEWAY_SCHEMAS_H
#define GATEWAY_SCHEMAS_H

#include "gateway/gateway.h"

void schemas_create(struct exchange *exchange);
void schemas_list(struct exchange *exchange);
void schemas_get(struct exchange *exchange);

#endif
