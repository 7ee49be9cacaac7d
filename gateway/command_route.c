// Sends the command a route names.
#include "gateway/command_route.h"

#include "gateway/backend.h"
#include "gateway/http.h"
#include "gateway/parameters.h"

#include <assert.h>

#define SLOW_MS 60000 // longer than usual that a slow command may take

static void set_id(ProtobufCMessage *message, const struct path_id *id)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, id->name);

    assert(field != NULL && field->type == PROTOBUF_C_TYPE_BYTES); // a test walks the routes
    *(protobuf_c_boolean *)((char *)message + field->quantifier_offset) = true;
    *(Text *)((char *)message + field->offset) = text_of(id->value);
}

// Nothing but ids: all parameters are ignored, and the answer says so.
static ProtobufCMessage *empty_request(struct exchange *exchange)
{
    struct issues issues = {.arena = exchange->arena};

    parameters_check(exchange, &issues);
    return wire_new(exchange->arena, command_row(exchange->route->command)->request);
}

ProtobufCMessage *command_request(struct exchange *exchange)
{
    const struct route *route = exchange->route;
    ProtobufCMessage *message;

    if (route_body(route) != NULL)
        message = http_body(exchange);
    else if (route_query(route) != NULL)
        message = http_query(exchange);
    else
        message = empty_request(exchange);
    for (size_t i = 0; message != NULL && i < exchange->ids.count; i++)
        set_id(message, &exchange->ids.items[i]);
    return message;
}

static void on_reply(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    http_reply(exchange, reply, sequence);
}

void command_route(struct exchange *exchange)
{
    unsigned flags = route_flags(exchange->route);
    ProtobufCMessage *request = command_request(exchange);

    if (request == NULL)
        return;
    if ((flags & COMMAND_SLOW) != 0)
        exchange->patience_ms = SLOW_MS;
    if ((flags & COMMAND_CHANGES) != 0)
        backend_change(exchange, request);
    else
        backend_send(exchange, request, on_reply);
}
