// What follows from a row of the route table and the command it names.
#include "gateway/route.h"

#include <string.h>

enum role route_role(const struct route *route)
{
    return route->command != CMD_NONE ? command_row(route->command)->role : route->role;
}

unsigned route_flags(const struct route *route)
{
    return route->command != CMD_NONE ? command_row(route->command)->flags : 0;
}

bool route_has_in_path(const struct route *route, const char *field)
{
    size_t len = strlen(field);

    for (const char *at = strchr(route->path, '{'); at != NULL; at = strchr(at + 1, '{')) {
        if (strncmp(at + 1, field, len) == 0 && at[1 + len] == '}')
            return true;
    }
    return false;
}

static bool has_body(const struct route *route)
{
    return strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0 ||
           strcmp(route->method, "PATCH") == 0;
}

// The command's request, if a client gives more of it than the path has.
static const ProtobufCMessageDescriptor *given(const struct route *route)
{
    const ProtobufCMessageDescriptor *request;

    if (route->command == CMD_NONE)
        return NULL;
    request = command_row(route->command)->request;
    for (unsigned i = 0; i < request->n_fields; i++) {
        if (!route_has_in_path(route, request->fields[i].name))
            return request;
    }
    return NULL;
}

const ProtobufCMessageDescriptor *route_query(const struct route *route)
{
    if (route->command == CMD_NONE)
        return route->query;
    return has_body(route) ? NULL : given(route);
}

const ProtobufCMessageDescriptor *route_body(const struct route *route)
{
    return has_body(route) ? given(route) : NULL;
}

const ProtobufCMessageDescriptor *route_reply(const struct route *route)
{
    if (route->command == CMD_NONE || route->success == 204 ||
        (route_flags(route) & COMMAND_PAGES) != 0)
        return NULL;
    return command_row(route->command)->reply;
}

const char *route_media(const struct route *route)
{
    return (route_flags(route) & COMMAND_PAGES) != 0 ? "application/x-ndjson text/csv"
                                                     : route->media;
}
