// The route table: every path the gateway answers.
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "broker/base/arena.h"
#include "gateway/route.h"

// Ends with a row whose method is NULL.
extern const struct route routes[];

// What answers an exchange on this route.
route_fn routes_handler(const struct route *route);

enum match {
    MATCH_ROUTE,  // *route and *ids are set
    MATCH_METHOD, // the path exists, but not with this method: *route is one that has it
    MATCH_SLASH,  // without its last slash the path would match
    MATCH_NONE,
};

// ids: in the arena.
enum match routes_find(const char *method, const char *path, struct arena *arena,
                       const struct route **route, struct path_ids *ids);

#endif
