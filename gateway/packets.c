// The packet routes that do more than send their command.
#include "gateway/packets.h"

#include "broker/nats/subjects.h"
#include "broker/rail/packet_view.h"
#include "gateway/backend.h"
#include "gateway/command_route.h"
#include "gateway/http.h"
#include "gateway/seqs.h"
#include "gateway/tags.h"

#include <inttypes.h>
#include <stdio.h>

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
                          exchange_id(exchange, "packet_id"));
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
    store_load_sure(run_store(exchange->gateway->run), exchange->caller.tenant,
                    exchange_id(exchange, "packet_id"), exchange->arena, on_loaded, exchange);
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
    backend_tell(exchange, CMD_RELEASE, &claim, 1, payload.data, payload.len);
}

void packets_claim_next(struct exchange *exchange)
{
    ProtobufCMessage *body = command_request(exchange);
    const Hr__ClaimNext *request = (const Hr__ClaimNext *)body;

    if (body == NULL)
        return;
    if (request->has_wait_seconds)
        exchange->patience_ms = request->wait_seconds * 1000;
    backend_wait(exchange, body, release_claimed);
}
