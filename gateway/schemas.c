// JSON Schemas over HTTP.
#include "gateway/schemas.h"

#include "gateway/backend.h"
#include "gateway/http.h"
#include "gateway/routes.h"

// A schema is no packet: it has no sequence that a later read of packets would have to wait for.
static void on_done(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    (void)sequence;
    http_reply(exchange, reply, 0);
}

static void pass_on(struct exchange *exchange, const char *verb, const ProtobufCMessage *request)
{
    if (request != NULL)
        backend_send(exchange, "schema", verb, request, exchange->route->reply, false, on_done);
}

void schemas_create(struct exchange *exchange)
{
    pass_on(exchange, "create", http_body(exchange));
}

void schemas_list(struct exchange *exchange)
{
    pass_on(exchange, "list", http_query(exchange));
}

void schemas_get(struct exchange *exchange)
{
    Hr__GetSchema *request = wire_new(exchange->arena, &hr__get_schema__descriptor);

    request->has_schema_id = true;
    request->schema_id = text_of(exchange->packet_id);
    pass_on(exchange, "get", &request->base);
}
