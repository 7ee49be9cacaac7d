// Webhooks over HTTP.
#include "gateway/hooks.h"

#include "broker/base/id.h"
#include "gateway/backend.h"
#include "gateway/http.h"
#include "gateway/routes.h"

#include <assert.h>

#define SEND_PATIENCE_MS 60000 // a worker sends, or puts many back, before it answers

static void on_reply(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    http_reply(exchange, reply, sequence);
}

static void ask(struct exchange *exchange, const char *verb, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply)
{
    backend_send(exchange, "hook", verb, request, reply, false, on_reply);
}

// Sets one of the ids that the path gives.
static void set_id(ProtobufCMessage *message, const char *name, const char *id)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

    assert(field != NULL && field->type == PROTOBUF_C_TYPE_BYTES);
    *(protobuf_c_boolean *)((char *)message + field->quantifier_offset) = true;
    *(Text *)((char *)message + field->offset) = text_of(id);
}

// A command about the hook in the path, whose body, if it has one, is the message.
static void change(struct exchange *exchange, const char *verb, ProtobufCMessage *message,
                   const ProtobufCMessageDescriptor *reply)
{
    if (message == NULL)
        return; // refused
    set_id(message, "hook_id", exchange->packet_id);
    ask(exchange, verb, message, reply);
}

void hooks_create(struct exchange *exchange)
{
    ProtobufCMessage *body = http_body(exchange);

    if (body != NULL)
        ask(exchange, "create", body, exchange->route->reply);
}

void hooks_list(struct exchange *exchange)
{
    ask(exchange, "list", wire_new(exchange->arena, &hr__empty__descriptor),
        exchange->route->reply);
}

void hooks_get(struct exchange *exchange)
{
    change(exchange, "get", wire_new(exchange->arena, &hr__hook_ref__descriptor),
           exchange->route->reply);
}

void hooks_update(struct exchange *exchange)
{
    change(exchange, "update", http_body(exchange), exchange->route->reply);
}

void hooks_delete(struct exchange *exchange)
{
    change(exchange, "delete", wire_new(exchange->arena, &hr__hook_ref__descriptor),
           &hr__hook_view__descriptor);
}

void hooks_test(struct exchange *exchange)
{
    exchange->patience_ms = SEND_PATIENCE_MS;
    change(exchange, "test", wire_new(exchange->arena, &hr__hook_ref__descriptor),
           exchange->route->reply);
}

void hooks_rotate(struct exchange *exchange)
{
    change(exchange, "rotate", http_body(exchange), exchange->route->reply);
}

void hooks_recover(struct exchange *exchange)
{
    exchange->patience_ms = SEND_PATIENCE_MS;
    change(exchange, "recover", http_body(exchange), exchange->route->reply);
}

void hooks_deliveries(struct exchange *exchange)
{
    change(exchange, "deliveries", http_query(exchange), exchange->route->reply);
}

void hooks_delivery(struct exchange *exchange)
{
    ProtobufCMessage *request = wire_new(exchange->arena, &hr__get_delivery__descriptor);
    const char *path = web_path(exchange->request);

    const char *id = strrchr(path, '/') + 1; // which the route has matched
    struct uuid uuid;
    struct problem problem;

    if (uuid_parse(id, strlen(id), &uuid) != NULL) {
        (void)problem_set(&problem, exchange->arena, PROBLEM_NOT_FOUND, "Delivery %.64s not found",
                          id);
        http_refuse(exchange, &problem);
        return;
    }
    set_id(request, "delivery_id", id);
    change(exchange, "delivery", request, exchange->route->reply);
}

void hooks_dlq(struct exchange *exchange)
{
    ProtobufCMessage *query = http_query(exchange);

    if (query != NULL)
        ask(exchange, "dlq", query, exchange->route->reply);
}

void hooks_replay(struct exchange *exchange)
{
    ProtobufCMessage *request = wire_new(exchange->arena, &hr__replay_delivery__descriptor);

    exchange->patience_ms = SEND_PATIENCE_MS;
    set_id(request, "delivery_id", exchange->packet_id);
    ask(exchange, "replay", request, exchange->route->reply);
}

void hooks_retry_all(struct exchange *exchange)
{
    exchange->patience_ms = SEND_PATIENCE_MS;
    ask(exchange, "retry-all", wire_new(exchange->arena, &hr__empty__descriptor),
        exchange->route->reply);
}
