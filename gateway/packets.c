// Packets over HTTP.
#include "gateway/packets.h"

#include "broker/subjects.h"
#include "broker/whole.h"
#include "gateway/backend.h"
#include "gateway/http.h"
#include "gateway/routes.h"
#include "gateway/seqs.h"
#include "gateway/tags.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static void on_page(struct exchange *exchange, ProtobufCMessage *page, uint64_t sequence)
{
    http_reply(exchange, page, sequence);
}

static void read_page(struct exchange *exchange, const char *verb)
{
    ProtobufCMessage *query = http_query(exchange);

    if (query != NULL)
        backend_send(exchange, "packet", verb, query, exchange->route->reply, true, on_page);
}

void packets_list(struct exchange *exchange)
{
    read_page(exchange, "list");
}

void packets_search(struct exchange *exchange)
{
    read_page(exchange, "search");
}

void packets_awaiting(struct exchange *exchange)
{
    read_page(exchange, "awaiting");
}

void packets_create(struct exchange *exchange)
{
    ProtobufCMessage *body = http_body(exchange);

    if (body != NULL)
        backend_change(exchange, "packet", "create", body);
}

static void on_whole(void *ctx, const struct problem *problem, Hr__Packet *packet,
                     uint64_t sequence)
{
    struct exchange *exchange = ctx;

    if (problem != NULL)
        http_refuse(exchange, problem);
    else
        http_reply(exchange, &packet->base, sequence);
}

static bool is_known(const char *if_none_match, uint64_t version)
{
    struct tags tags = tags_read(if_none_match);

    return tags_have(&tags, version);
}

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct exchange *exchange = ctx;
    const char *known = web_header(exchange->request, "If-None-Match");
    struct problem problem;
    char tag[28];

    if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, exchange->arena, PROBLEM_NOT_FOUND, "Packet %s not found",
                          exchange->packet_id);
        http_refuse(exchange, &problem);
        return;
    }
    if (rc != RC_OK) {
        http_fail(exchange, rc);
        return;
    }
    // Who has seen this version must not be shown an older one by the next list.
    seqs_raise(exchange->gateway->seqs, exchange->caller.tenant, stored->sequence);
    (void)snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", stored->sequence);
    if (known != NULL && is_known(known, stored->sequence)) {
        const struct header header = {"ETag", tag};

        http_respond(exchange, 304, NULL, &header, 1, "", 0);
        return;
    }
    whole_load(run_store(exchange->gateway->run), exchange->caller.tenant, stored->record->packet,
               stored->sequence, exchange->arena, on_whole, exchange);
}

void packets_get(struct exchange *exchange)
{
    store_load(run_store(exchange->gateway->run), exchange->caller.tenant, exchange->packet_id,
               exchange->arena, on_loaded, exchange);
}

// The body of a command about the packet in the path.
static ProtobufCMessage *body_with_id(struct exchange *exchange)
{
    ProtobufCMessage *body = http_body(exchange);
    const ProtobufCFieldDescriptor *field;

    if (body == NULL)
        return NULL;
    field = protobuf_c_message_descriptor_get_field_by_name(body->descriptor, "packet_id");
    assert(field != NULL && field->type == PROTOBUF_C_TYPE_BYTES);
    *(protobuf_c_boolean *)((char *)body + field->quantifier_offset) = true;
    *(Text *)((char *)body + field->offset) = text_of(exchange->packet_id);
    return body;
}

static void change(struct exchange *exchange, const char *verb)
{
    ProtobufCMessage *body = body_with_id(exchange);

    if (body != NULL)
        backend_change(exchange, "packet", verb, body);
}

void packets_update(struct exchange *exchange)
{
    change(exchange, "update");
}

void packets_claim(struct exchange *exchange)
{
    change(exchange, "claim");
}

void packets_heartbeat(struct exchange *exchange)
{
    change(exchange, "heartbeat");
}

void packets_release(struct exchange *exchange)
{
    change(exchange, "release");
}

void packets_decline(struct exchange *exchange)
{
    change(exchange, "decline");
}

void packets_respond(struct exchange *exchange)
{
    change(exchange, "respond");
}

void packets_delete(struct exchange *exchange)
{
    Hr__PacketRef *request = wire_new(exchange->arena, &hr__packet_ref__descriptor);

    request->has_packet_id = true;
    request->packet_id = text_of(exchange->packet_id);
    backend_change(exchange, "packet", "delete", &request->base);
}

static void change_many(struct exchange *exchange, const char *verb)
{
    ProtobufCMessage *body = http_body(exchange);

    if (body != NULL)
        backend_change(exchange, "packet", verb, body);
}

void packets_batch_create(struct exchange *exchange)
{
    change_many(exchange, "batch-create");
}

void packets_batch_claim(struct exchange *exchange)
{
    change_many(exchange, "batch-claim");
}

void packets_batch_complete(struct exchange *exchange)
{
    change_many(exchange, "batch-complete");
}

void packets_batch_respond(struct exchange *exchange)
{
    change_many(exchange, "batch-respond");
}

// The client has gone, and the packet is held by nobody who knows. Under an Idempotency-Key the
// repeat gets it.
static void release_claimed(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    const Hr__Packet *packet = (const Hr__Packet *)reply;
    Hr__ReleaseClaim *release = wire_new(exchange->arena, &hr__release_claim__descriptor);
    const struct header claim = {HEADER_CLAIM, arena_printf(exchange->arena, "%" PRIu64, sequence)};
    Text payload;

    if (web_header(exchange->request, "Idempotency-Key") != NULL || sequence == 0)
        return;
    release->has_packet_id = true;
    release->packet_id = packet->id;
    release->has_reason = true;
    release->reason = text_of("claim-next was answered and its client had gone");
    payload = wire_pack(exchange->arena, &release->base);
    backend_tell(exchange, "packet", "release", &claim, 1, payload.data, payload.len);
}

void packets_claim_next(struct exchange *exchange)
{
    ProtobufCMessage *body = http_body(exchange);
    const Hr__ClaimNext *request = (const Hr__ClaimNext *)body;

    if (body == NULL)
        return;
    if (request->has_wait_seconds)
        exchange->patience_ms = request->wait_seconds * 1000;
    backend_wait(exchange, "packet", "claim-next", body, release_claimed);
}

void packets_history(struct exchange *exchange)
{
    ProtobufCMessage *query = http_query(exchange);
    Hr__GetHistory *request = (Hr__GetHistory *)query;

    if (query == NULL)
        return;
    request->has_packet_id = true;
    request->packet_id = text_of(exchange->packet_id);
    backend_send(exchange, "packet", "history", query, exchange->route->reply, true, on_page);
}

void packets_chain(struct exchange *exchange)
{
    ProtobufCMessage *body = http_body(exchange);
    Hr__ChainPacket *request = (Hr__ChainPacket *)body;

    if (body == NULL)
        return;
    request->has_packet_id = true;
    request->packet_id = text_of(exchange->packet_id);
    backend_change(exchange, "packet", "chain", body);
}

void packets_tree(struct exchange *exchange)
{
    Hr__GetTree *request = wire_new(exchange->arena, &hr__get_tree__descriptor);

    request->has_packet_id = true;
    request->packet_id = text_of(exchange->packet_id);
    backend_send(exchange, "packet", "tree", &request->base, exchange->route->reply, true, on_page);
}

void packets_context(struct exchange *exchange)
{
    ProtobufCMessage *query = http_query(exchange);
    Hr__GetContext *request = (Hr__GetContext *)query;

    if (query == NULL)
        return;
    request->has_packet_id = true;
    request->packet_id = text_of(exchange->packet_id);
    backend_send(exchange, "packet", "context", query, exchange->route->reply, false, on_page);
}
