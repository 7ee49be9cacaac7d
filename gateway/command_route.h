// Routes that are commands: what was sent becomes a request, and the answer is passed on.
#ifndef GATEWAY_COMMAND_ROUTE_H
#define GATEWAY_COMMAND_ROUTE_H

#include "gateway/gateway.h"

// Sends the command that the exchange's route names, and answers with its answer.
void command_route(struct exchange *exchange);

// The command's request out of the body or the query, with the ids of the path. NULL: the exchange
// has been refused.
ProtobufCMessage *command_request(struct exchange *exchange);

#endif
