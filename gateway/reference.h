// /docs and /redoc: the routes for people, in a browser.
#ifndef GATEWAY_REFERENCE_H
#define GATEWAY_REFERENCE_H

#include "gateway/gateway.h"

// A page that reads /openapi.json. It loads nothing from elsewhere.
void reference_get(struct exchange *exchange);

#endif
