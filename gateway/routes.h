// The route table: every path the gateway answers, what it takes and who may use it.
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "gateway/auth.h"
#include "gateway/gateway.h"

// Answers the exchange, now or later, exactly once.
typedef void (*route_fn)(struct exchange *exchange);

// What else there is to a route.
enum {
    ROUTE_READS = 1 << 0,  // what was projected: takes X-HR-Min-Seq
    ROUTE_AUDITS = 1 << 1, // waits for the audit log if asked to: takes X-HR-Durability
    ROUTE_FENCES = 1 << 2, // changes one packet that is there: takes If-Match and X-HR-Claim
    ROUTE_EMPTY = 1 << 3,  // may have nothing to answer with: 204
};

struct route {
    const char *method;
    const char
        *path;      // "{id}" stands for a packet's id, "{schema_id}" for any text, others for UUIDs
    enum role role; // ROLE_NONE: no key is asked for
    route_fn handle;
    const char *operation;                   // unique, for OpenAPI
    const char *summary;                     // one line
    unsigned success;                        // status
    const ProtobufCMessageDescriptor *query; // its fields are the query parameters; NULL: none
    const ProtobufCMessageDescriptor *body;  // NULL: none
    const ProtobufCMessageDescriptor *reply; // NULL: none, or no message of ours
    unsigned flags;
    const char *media; // of an answer that is no message, separated by blanks; NULL: none
};

// Ends with a row whose method is NULL.
extern const struct route routes[];

enum match {
    MATCH_ROUTE,  // *route is set, and *packet_id if it has one
    MATCH_METHOD, // the path exists, but not with this method: *route is one that has it
    MATCH_SLASH,  // without its last slash the path would match
    MATCH_NONE,
};

// packet_id: what stands for {id} or {schema_id}, in the arena, as it was sent; NULL when the route
// has none.
enum match routes_find(const char *method, const char *path, struct arena *arena,
                       const struct route **route, const char **packet_id);

#endif
