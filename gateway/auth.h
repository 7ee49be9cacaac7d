// Who is asking, and may they.
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/gateway.h"

// Fills exchange->caller from the header X-API-Key, or the query's api_key if the route has one.
// minimum: what the route asks for.
// RC_REFUSED: *problem says why; it does not tell whether a wrong key resembles a right one.
enum rc auth_check(struct exchange *exchange, enum role minimum,
                   struct problem *problem) MUST_CHECK;

// Is the key that the caller was let in with still good? True while that cannot be known.
bool auth_still_holds(const struct exchange *exchange);

#endif
