// gateway: REST in front of the rail.
//   takes   HTTP, see routes.c
//   sends   hr.v1.cmd.<tenant>.<key>.<noun>.<verb>; reads packets from the stream
//   holds   no state that another copy would need: any number may run behind a load balancer

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/nats/subjects.h"
#include "broker/run/run.h"
#include "gateway/dispatch.h"
#include "gateway/gateway.h"
#include "gateway/http.h"
#include "gateway/keys.h"
#include "gateway/live/live.h"
#include "gateway/openapi.h"
#include "gateway/seqs.h"
#include "gateway/sockets.h"
#include "gateway/totals.h"
#include "gateway/traffic.h"

#define OPENAPI_ARENA_BYTES 1024
#define BODIES_MAX (128 * 1024 * 1024) // bytes of all request bodies that are held

static const struct cfg_key keys[] = {
    CFG_STR(struct gateway, listen, "HR_LISTEN", "0.0.0.0:8080", "where HTTP is served: host:port"),
    CFG_STR(struct gateway, bootstrap_key, "HR_BOOTSTRAP_KEY", "",
            "an API key with role admin that needs no entry in the bucket of keys"),
    CFG_STR(struct gateway, bootstrap_tenant, "HR_BOOTSTRAP_TENANT", "default",
            "the tenant that key belongs to"),
    CFG_I64(struct gateway, body_max_bytes, "HR_MAX_BODY_BYTES", "1048576", 1024, 7340032,
            "longest request body, in bytes"),
    CFG_STR(struct gateway, environment, "HR_ENVIRONMENT", "dev",
            "what kind of deployment this is, as system health shows it"),
    CFG_STR(struct gateway, cors_origins, "HR_CORS_ORIGINS", "",
            "origins whose pages may use the API from a browser, separated by commas; * for all"),
    CFG_I64(struct gateway, connections_max, "HR_MAX_CONNECTIONS", "10000", 16, 1000000,
            "HTTP connections at a time; idle ones are closed for new ones"),
    CFG_I64(struct gateway, per_address_max, "HR_MAX_CONNECTIONS_PER_ADDRESS", "1000", 0, 1000000,
            "HTTP connections from one address, or one /64 of IPv6; 0 for no bound"),
    CFG_STR(struct gateway, trusted_proxies, "HR_TRUSTED_PROXIES", "127.0.0.0/8, ::1",
            "addresses and blocks without that bound, separated by commas"),
    CFG_I64(struct gateway, ping_seconds, "HR_LIVE_PING_SECONDS", "30", 1, 3600,
            "between two pings to who listens over SSE or WebSocket"),
    CFG_END,
};

static void on_stream_end(void *ctx, enum rc rc, uint64_t last)
{
    struct gateway *gateway = ctx;

    if (rc != RC_OK)
        return;
    seqs_cap(gateway->seqs, last);
}

// A server that comes back may have lost the end of its stream, or come with another one.
static void on_nats(void *ctx, bool up)
{
    struct gateway *gateway = ctx;

    if (up)
        store_end(run_store(gateway->run), 0, on_stream_end, gateway);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct gateway *gateway = ctx;
    enum rc rc;

    gateway->run = run;
    gateway->started_ns = clock_now_ns();
    if (!token_is_safe(gateway->bootstrap_tenant, strlen(gateway->bootstrap_tenant)) ||
        strcmp(gateway->bootstrap_tenant, TENANT_PLATFORM) == 0) {
        log_error("gateway.config",
                  "reason=\"HR_BOOTSTRAP_TENANT is not a safe token, or reserved\"");
        return RC_CONFIG;
    }
    http_init();
    gateway->openapi_arena = arena_create(OPENAPI_ARENA_BYTES);
    gateway->openapi = openapi_document(gateway->openapi_arena);
    gateway->seqs = seqs_create();
    gateway->traffic = traffic_create();
    gateway->totals = totals_create(run);
    gateway->keys = keys_open(run);
    gateway->live = live_open(run);
    gateway->sockets = sockets_open(run);
    conn_on_state(run_conn(run), on_nats, gateway);
    gateway->web_config = (struct web_config){
        .listen = gateway->listen,
        .body_max = (size_t)gateway->body_max_bytes,
        .bodies_max = BODIES_MAX,
        .connections_max = (size_t)gateway->connections_max,
        .per_address_max = (size_t)gateway->per_address_max,
        .trusted = gateway->trusted_proxies,
        .on_head = dispatch_on_head,
        .on_request = dispatch_on_request,
        .on_refusal = dispatch_on_refusal,
        .ctx = gateway,
    };
    rc = web_open(&gateway->web, run_loop(run), &gateway->web_config);
    if (rc == RC_OK)
        log_info("gateway.listening", "address=%s port=%u", gateway->listen,
                 web_port(gateway->web));
    return rc;
}

static bool on_ready(void *ctx, const char **reason)
{
    struct gateway *gateway = ctx;

    *reason = "API keys are not known yet";
    return keys_are_current(gateway->keys);
}

static void on_leave(void *ctx)
{
    struct gateway *gateway = ctx;

    web_stop_keeping_alive(gateway->web);
}

static void on_drain(void *ctx)
{
    struct gateway *gateway = ctx;

    web_stop_listening(gateway->web);
    live_drain(gateway->live);
}

static size_t on_in_hand(void *ctx)
{
    struct gateway *gateway = ctx;

    return web_in_hand(gateway->web);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct gateway *gateway = ctx;

    web_close(gateway->web);
    live_close(gateway->live);
    sockets_close(gateway->sockets);
    keys_close(gateway->keys);
    seqs_destroy(gateway->seqs);
    traffic_destroy(gateway->traffic);
    totals_destroy(gateway->totals);
    arena_destroy(gateway->openapi_arena);
}

int main(int argc, char **argv)
{
    static const struct run_spec spec = {
        .name = "hr-gateway",
        .summary = "REST in front of the rail",
        .keys = keys,
        .speaks_for_others = true,
        .open = on_open,
        .close = on_close,
        .ready = on_ready,
        .leave = on_leave,
        .drain = on_drain,
        .in_hand = on_in_hand,
    };
    struct gateway gateway = {0};

    return run_program(argc, argv, &spec, &gateway);
}
