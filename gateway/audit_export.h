// The audit log as one long answer.
#ifndef GATEWAY_AUDIT_EXPORT_H
#define GATEWAY_AUDIT_EXPORT_H

#include "gateway/gateway.h"

// GET /api/v1/audit/export
void audit_export(struct exchange *exchange);

#endif
