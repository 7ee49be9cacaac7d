// /openapi.json, made from the route table and the protobuf descriptors.
#ifndef GATEWAY_OPENAPI_H
#define GATEWAY_OPENAPI_H

#include "gateway/gateway.h"

// The document, in the arena.
Text openapi_document(struct arena *arena);

#endif
