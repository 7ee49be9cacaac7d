// Query parameters that a route does not know: probable mistakes are refused, others are named.
#ifndef GATEWAY_PARAMETERS_H
#define GATEWAY_PARAMETERS_H

#include "broker/message/issues.h"
#include "gateway/gateway.h"

// Appends to issues what looks like a parameter of the exchange's route and is none: "status[]",
// and names that differ from a known one by one or two letters. Other unknown ones are noted in
// exchange->ignored_parameters, for a header of the answer.
void parameters_check(struct exchange *exchange, struct issues *issues);

#endif
