// /api/v1/audit
#ifndef GATEWAY_AUDIT_H
#define GATEWAY_AUDIT_H

#include "gateway/gateway.h"

void audit_list(struct exchange *exchange);

#endif
