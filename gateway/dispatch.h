// Requests on their way to the handlers of the route table.
#ifndef GATEWAY_DISPATCH_H
#define GATEWAY_DISPATCH_H

#include "gateway/gateway.h"

// For the web server's configuration; ctx is the struct gateway.

// The route, the key and the ids in the path are checked here, before the body is read.
void dispatch_on_head(void *gateway, struct web_request *request);

// Calls the route's handler.
void dispatch_on_request(void *gateway, struct web_request *request);

// What the server refuses is answered like everything else: as JSON, with a code.
void dispatch_on_refusal(void *gateway, struct web_request *request, unsigned status,
                         const char *text);

#endif
