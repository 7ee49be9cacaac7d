// How the rail is doing.
//
// /ready asks one copy of every kind of worker, over the same way a command takes; the query
// worker's answer says whether Postgres is there.
#include "gateway/system.h"

#include "broker/base/metrics.h"
#include "broker/message/json_write.h"
#include "broker/nats/subjects.h"
#include "broker/run/fleet.h"
#include "gateway/auth.h"
#include "gateway/http.h"
#include "gateway/keys.h"
#include "gateway/totals.h"

#define PING_TIMEOUT_MS 1000
#define PROBE_TENANT "default"
#define PROBE_KEY "gateway"

#define NAME(name, user, postgres) #name,

static const char *const workers[FLEET_SIZE] = {FLEET_WORKERS(NAME)};

struct probe {
    struct exchange *exchange;
    struct ping {
        struct probe *probe;
        bool answered;
        bool ready;
    } pings[FLEET_SIZE];
    size_t waiting;
};

void system_health(struct exchange *exchange)
{
    static const char body[] = "{\"status\":\"ok\",\"service\":\"handoffrail\"}";

    http_respond(exchange, 200, "application/json", NULL, 0, body, sizeof body - 1);
}

void system_openapi(struct exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;

    http_respond(exchange, 200, "application/json", NULL, 0, gateway->openapi.data,
                 gateway->openapi.len);
}

static void write_metrics(void *ctx)
{
    struct exchange *exchange = ctx;
    struct problem problem;
    bool knows_tenants =
        auth_check(exchange, ROLE_ADMIN, &problem) == RC_OK && exchange->caller.platform;
    struct buf out = {0};

    metrics_write(&out);
    totals_write(exchange->gateway->totals, &out, knows_tenants);
    http_respond(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, 0, buf_text(&out),
                 out.len);
    buf_fini(&out);
}

// No key is asked for, as those who collect metrics have none; with one that rules all tenants they
// are shown by name.
void system_metrics(struct exchange *exchange)
{
    totals_refresh(exchange->gateway->totals, write_metrics, exchange);
}

static bool worker_is_ready(const struct probe *probe, const char *name)
{
    for (size_t i = 0; i < FLEET_SIZE; i++) {
        if (strcmp(workers[i], name) == 0)
            return probe->pings[i].ready;
    }
    return false;
}

static void answer(struct probe *probe)
{
    struct exchange *exchange = probe->exchange;
    bool nats = conn_is_up(run_conn(exchange->gateway->run));
    bool ready = nats && keys_are_current(exchange->gateway->keys) &&
                 !run_is_stopping(exchange->gateway->run);
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    for (size_t i = 0; i < FLEET_SIZE; i++)
        ready = ready && probe->pings[i].ready;
    json_object_open(writer);
    json_key(writer, "status");
    json_string(writer, ready ? "ready" : "not_ready");
    json_key(writer, "service");
    json_string(writer, "handoffrail");
    json_key(writer, "db");
    json_bool(writer, worker_is_ready(probe, "query"));
    json_key(writer, "nats");
    json_bool(writer, nats);
    json_key(writer, "workers");
    json_object_open(writer);
    for (size_t i = 0; i < FLEET_SIZE; i++) {
        json_key(writer, workers[i]);
        json_string(writer, probe->pings[i].ready      ? "ready"
                            : probe->pings[i].answered ? "not_ready"
                                                       : "absent");
    }
    json_object_close(writer);
    json_object_close(writer);
    json_writer_destroy(writer);
    http_respond(exchange, ready ? 200 : 503, "application/json", NULL, 0, out.data, out.len);
    buf_fini(&out);
}

static void on_pong(void *ctx, enum rc rc, struct msg *msg)
{
    struct ping *ping = ctx;
    struct probe *probe = ping->probe;
    ProtobufCMessage *message;

    if (rc == RC_OK && msg_header(msg, HEADER_ERROR_CODE) == NULL &&
        wire_unpack(&message, probe->exchange->arena, &hr__pong__descriptor, msg_data(msg),
                    msg_len(msg)) == RC_OK) {
        ping->answered = true;
        ping->ready = ((const Hr__Pong *)message)->ready;
    }
    if (--probe->waiting == 0)
        answer(probe);
}

void system_ready(struct exchange *exchange)
{
    struct probe *probe = arena_calloc(exchange->arena, 1, sizeof *probe);

    probe->exchange = exchange;
    probe->waiting = FLEET_SIZE;
    for (size_t i = 0; i < FLEET_SIZE; i++) {
        char subject[SUBJECT_BYTES];
        const struct request request = {.subject = subject,
                                        .inbox = PROBE_KEY,
                                        .timeout_ms = PING_TIMEOUT_MS,
                                        .done = on_pong,
                                        .ctx = &probe->pings[i]};

        probe->pings[i].probe = probe;
        subject_command(subject, PROBE_TENANT, PROBE_KEY, workers[i], "ping");
        request_send(run_requests(exchange->gateway->run), &request);
    }
}
