// Statistics: the query worker's numbers, and what only the gateway knows.
#include "gateway/numbers.h"

#include "broker/nats/subjects.h"
#include "gateway/backend.h"
#include "gateway/command_route.h"
#include "gateway/http.h"
#include "gateway/keys.h"
#include "gateway/sockets.h"
#include "gateway/traffic.h"

#include <inttypes.h>

static void on_stats(struct exchange *exchange, ProtobufCMessage *message, uint64_t sequence)
{
    Hr__Stats *stats = (Hr__Stats *)message;

    stats->has_active_ws_connections = true;
    stats->active_ws_connections =
        (int64_t)sockets_count(exchange->gateway->sockets, exchange->caller.tenant);
    http_reply(exchange, message, sequence);
}

void numbers_stats(struct exchange *exchange)
{
    backend_send(exchange, command_request(exchange), on_stats);
}

static void on_health(struct exchange *exchange, ProtobufCMessage *message, uint64_t sequence)
{
    Hr__SystemHealth *health = (Hr__SystemHealth *)message;
    const struct gateway *gateway = exchange->gateway;
    struct arena *arena = exchange->arena;
    int64_t up_ms = (clock_now_ns() - gateway->started_ns) / 1000000;
    const char *tenant = exchange->caller.platform ? NULL : exchange->caller.tenant;

    health->has_version = true;
    health->version = text_of(HR_VERSION);
    health->uptime_seconds = wire_json(
        arena, text_of(arena_printf(arena, "%" PRId64 ".%03" PRId64, up_ms / 1000, up_ms % 1000)));
    health->has_environment = true;
    health->environment = text_of(gateway->environment);
    health->has_active_api_keys = true;
    health->active_api_keys = (int64_t)keys_count(gateway->keys, tenant);
    health->requests_last_1h_per_key =
        wire_json(arena, traffic_json(gateway->traffic, tenant, clock_now_ns(), arena));
    http_reply(exchange, message, sequence);
}

void numbers_health(struct exchange *exchange)
{
    if (exchange->caller.platform)
        exchange->about = TENANT_PLATFORM;
    backend_send(exchange, command_request(exchange), on_health);
}
