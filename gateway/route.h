// One row of the route table, and what follows from it.
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "broker/message/command_table.h"

#include <stdbool.h>

struct exchange;

// Answers the exchange, now or later, exactly once.
typedef void (*route_fn)(struct exchange *exchange);

struct route {
    const char *method;
    // What stands in braces is a field of the command's request: an id.
    const char *path;
    enum command_id command; // CMD_NONE: the gateway answers by itself
    route_fn handle;         // of a route that is no command
    const char *operation;   // unique, for OpenAPI
    const char *summary;     // one line
    unsigned success;        // status

    // Of a route that is no command.
    enum role role;                          // ROLE_NONE: no key is asked for
    const ProtobufCMessageDescriptor *query; // its fields are the query parameters; NULL: none

    const char *media; // of its answer, see route_media
};

#define PATH_IDS_MAX 2

// What stands in a path for a name in braces, as it was sent.
struct path_id {
    const char *name; // the name in braces
    const char *value;
};

struct path_ids {
    struct path_id items[PATH_IDS_MAX];
    size_t count;
};

// The least role that may use it.
enum role route_role(const struct route *route);

// COMMAND_ flags; 0 for a route that is no command.
unsigned route_flags(const struct route *route);

// The message whose fields are the query parameters, or the members of the body, those in the path
// left aside. NULL: none. Only POST, PUT and PATCH have a body, and they have no parameters.
const ProtobufCMessageDescriptor *route_query(const struct route *route);
const ProtobufCMessageDescriptor *route_body(const struct route *route);

// NULL: the answer is no message, or there is none.
const ProtobufCMessageDescriptor *route_reply(const struct route *route);

// The media types of an answer that is no message, separated by blanks; NULL: it is one, or there
// is none.
const char *route_media(const struct route *route);

// Does this field's value stand in the path?
bool route_has_in_path(const struct route *route, const char *field);

#endif
