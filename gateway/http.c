// One HTTP request from arrival to answer.
#include "gateway/http.h"

#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/metrics.h"
#include "broker/packet/check.h"
#include "broker/packet/json_read.h"
#include "broker/packet/json_write.h"
#include "broker/packet/query_read.h"
#include "broker/packet/rules.h"
#include "broker/subjects.h"
#include "gateway/routes.h"
#include "gateway/traffic.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADERS_MAX 10
#define REQUEST_ID_MAX 128

static struct metric *requests_total;
static struct metric *request_seconds;

static const double latency_bounds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

void http_init(void)
{
    requests_total =
        metric_create(METRIC_COUNTER, "handoffrail_requests_total", "HTTP requests answered",
                      "method,endpoint,status_code", NULL, 0);
    request_seconds =
        metric_create(METRIC_HISTOGRAM, "handoffrail_request_latency_seconds",
                      "From a request's arrival to its answer", "method,endpoint", latency_bounds,
                      sizeof latency_bounds / sizeof latency_bounds[0]);
}

// --- answers -------------------------------------------------------------------------------------

static void count(const struct exchange *exchange, unsigned status)
{
    const char *path = exchange->route != NULL ? exchange->route->path : "unmatched";
    // A method of the client's own invention must not become a series.
    const char *method = exchange->route != NULL ? exchange->route->method : "any";
    double seconds = (double)(clock_now_ns() - exchange->start_ns) / 1e9;
    char labels[160];

    if (strcmp(path, "/metrics") == 0)
        return;
    (void)snprintf(labels, sizeof labels, "%s\x1f%s\x1f%u", method, path, status);
    metric_add(requests_total, labels, 1);
    (void)snprintf(labels, sizeof labels, "%s\x1f%s", method, path);
    metric_observe(request_seconds, labels, seconds);
    if (exchange->caller.tenant != NULL)
        traffic_note(exchange->gateway->traffic, exchange->caller.tenant, clock_now_ns());
}

// What every answer begins with; all has room for HEADERS_MAX. Returns how many there are.
static size_t begin_answer(const struct exchange *exchange, unsigned status, struct header *all,
                           const char *type, const struct header *headers, size_t header_count)
{
    size_t total = 0;

    all[total++] = (struct header){"X-Request-Id", exchange->id};
    if (type != NULL)
        all[total++] = (struct header){"Content-Type", type};
    for (size_t i = 0; i < header_count && total < HEADERS_MAX; i++)
        all[total++] = headers[i];
    count(exchange, status);
    log_debug("http.request", "id=\"%s\" method=%s path=\"%s\" status=%u us=%" PRId64, exchange->id,
              web_method(exchange->request),
              exchange->route != NULL ? exchange->route->path : "unmatched", status,
              (clock_now_ns() - exchange->start_ns) / 1000);
    return total;
}

void http_respond(struct exchange *exchange, unsigned status, const char *type,
                  const struct header *headers, size_t header_count, const void *body, size_t len)
{
    struct header all[HEADERS_MAX];
    size_t total = begin_answer(exchange, status, all, type, headers, header_count);

    web_respond(exchange->request, status, all, total, body, len);
}

void http_respond_stream(struct exchange *exchange, const char *type, const struct header *headers,
                         size_t header_count, const struct web_stream *stream)
{
    struct header all[HEADERS_MAX];
    size_t total = begin_answer(exchange, 200, all, type, headers, header_count);

    web_respond_stream(exchange->request, 200, all, total, stream);
}

void http_upgrade(struct exchange *exchange, const struct websocket_config *config)
{
    struct header all[HEADERS_MAX];
    size_t total = begin_answer(exchange, 101, all, NULL, NULL, 0);

    websocket_accept(exchange->request, all, total, config);
}

void http_refuse(struct exchange *exchange, const struct problem *problem)
{
    Text body = problem_body(problem, exchange->arena, exchange->id);
    struct header header = {"Retry-After", NULL};
    char seconds[16];

    (void)snprintf(seconds, sizeof seconds, "%u", problem->retry_after_seconds);
    header.value = seconds;
    http_respond(exchange, problem_status(problem->code), "application/json", &header,
                 problem->retry_after_seconds > 0 ? 1 : 0, body.data, body.len);
}

void http_fail(struct exchange *exchange, enum rc rc)
{
    struct problem problem;

    (void)problem_of_rc(&problem, exchange->arena, rc);
    http_refuse(exchange, &problem);
}

void http_reply(struct exchange *exchange, const ProtobufCMessage *message, uint64_t sequence)
{
    char number[24];
    char tag[28];
    struct header headers[] = {
        {"ETag",     tag   },
        {"X-HR-Seq", number}
    };
    unsigned status = exchange->route->success;
    Text body = {0, NULL};

    (void)snprintf(number, sizeof number, "%" PRIu64, sequence);
    (void)snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", sequence);
    if (status != 204)
        body = json_of_message(exchange->arena, message);
    http_respond(exchange, status, status != 204 ? "application/json" : NULL, headers,
                 sequence != 0 ? 2 : 0, body.data, body.len);
}

// --- input ---------------------------------------------------------------------------------------

// A POST whose every field may be absent needs no body: "curl -X POST .../release" says it all.
static bool may_be_empty(const struct route *route)
{
    if (strcmp(route->method, "POST") != 0)
        return false;
    for (unsigned i = 0; i < route->body->n_fields; i++) {
        if ((rules_of(route->body, i)->flags & RULE_REQUIRED) != 0)
            return false;
    }
    return true;
}

ProtobufCMessage *http_body(struct exchange *exchange)
{
    struct issues issues = {.arena = exchange->arena};
    struct problem problem;
    ProtobufCMessage *message;
    size_t len;
    const char *body = web_body(exchange->request, &len);
    enum rc rc;

    if (len == 0 && may_be_empty(exchange->route)) {
        body = "{}";
        len = 2;
    }
    rc = json_read(&message, exchange->arena, exchange->route->body, body, len, &issues, &problem);

    if (rc == RC_OK) {
        message_check(message, "body", true, &issues);
        if (issues.count > 0)
            rc = issues_to_problem(&issues, &problem);
    }
    if (rc != RC_OK) {
        http_refuse(exchange, &problem);
        return NULL;
    }
    return message;
}

static const char *query_value(const void *request, const char *name)
{
    return web_query(request, name);
}

ProtobufCMessage *http_query(struct exchange *exchange)
{
    struct issues issues = {.arena = exchange->arena};
    struct problem problem;
    ProtobufCMessage *message = query_read(exchange->arena, exchange->route->query, query_value,
                                           exchange->request, &issues);

    message_check(message, "query", true, &issues);
    if (issues.count == 0)
        return message;
    (void)issues_to_problem(&issues, &problem);
    http_refuse(exchange, &problem);
    return NULL;
}

// --- dispatch ------------------------------------------------------------------------------------

// The client's own id if it is short and printable, otherwise a new one.
static const char *request_id(struct web_request *request)
{
    const char *sent = web_header(request, "X-Request-Id");
    struct uuid uuid;
    char *text;

    if (sent != NULL && *sent != '\0' && strlen(sent) <= REQUEST_ID_MAX) {
        const char *at = sent;

        while (*at > ' ' && *at < 0x7f && *at != '"' && *at != '\\')
            at++;
        if (*at == '\0')
            return arena_copy(web_arena(request), sent, strlen(sent));
    }
    text = arena_alloc(web_arena(request), UUID_TEXT_BYTES);
    uuid = uuid_new();
    uuid_format(text, &uuid);
    return text;
}

static struct exchange *exchange_create(struct gateway *gateway, struct web_request *request)
{
    struct exchange *exchange = arena_calloc(web_arena(request), 1, sizeof *exchange);

    exchange->gateway = gateway;
    exchange->request = request;
    exchange->arena = web_arena(request);
    exchange->start_ns = clock_now_ns();
    exchange->id = request_id(request);
    return exchange;
}

static void refuse_method(struct exchange *exchange)
{
    struct problem problem;
    const struct header allow = {"Allow", exchange->route->method};
    Text body;

    (void)problem_set(&problem, exchange->arena, PROBLEM_METHOD_NOT_ALLOWED, "Method Not Allowed");
    body = problem_body(&problem, exchange->arena, exchange->id);
    http_respond(exchange, 405, "application/json", &allow, 1, body.data, body.len);
}

static void redirect(struct exchange *exchange)
{
    const char *path = web_path(exchange->request);
    const struct header location = {"Location", web_location(exchange->request, strlen(path) - 1)};

    http_respond(exchange, 307, NULL, &location, 1, "", 0);
}

// The id in the path, normalised. False: the exchange has been refused.
static bool check_packet_id(struct exchange *exchange)
{
    const char *text = exchange->packet_id;
    struct issues issues = {.arena = exchange->arena};
    struct path path = {0};
    struct problem problem;
    struct uuid uuid;
    const char *error = uuid_parse(text, strlen(text), &uuid);
    char *normal;

    if (error == NULL) {
        normal = arena_alloc(exchange->arena, UUID_TEXT_BYTES);
        uuid_format(normal, &uuid);
        exchange->packet_id = normal;
        return true;
    }
    path_push_name(&path, text_of("path"));
    path_push_name(&path, text_of("packet_id"));
    (void)issues_add(&issues, &path, "uuid_parsing",
                     arena_printf(exchange->arena, "Input should be a valid UUID, %s", error));
    (void)issues_to_problem(&issues, &problem);
    http_refuse(exchange, &problem);
    return false;
}

void http_on_request(void *ctx, struct web_request *request)
{
    struct exchange *exchange = exchange_create(ctx, request);
    const struct route *route = NULL;
    struct problem problem;
    enum match match = routes_find(web_method(request), web_path(request), exchange->arena, &route,
                                   &exchange->packet_id);

    exchange->route = route;
    if (match == MATCH_METHOD) {
        refuse_method(exchange);
        return;
    }
    if (match != MATCH_ROUTE) {
        exchange->route = NULL;
        if (match == MATCH_SLASH) {
            redirect(exchange);
            return;
        }
        (void)problem_set(&problem, exchange->arena, PROBLEM_NO_ROUTE, "Not Found");
        http_refuse(exchange, &problem);
        return;
    }
    if (route->role != ROLE_NONE && auth_check(exchange, route->role, &problem) != RC_OK) {
        http_refuse(exchange, &problem);
        return;
    }
    if (strstr(route->path, "{id}") != NULL && !check_packet_id(exchange))
        return;
    route->handle(exchange);
}

void http_on_too_large(void *ctx, struct web_request *request, uint64_t len)
{
    struct exchange *exchange = exchange_create(ctx, request);
    struct problem problem;

    (void)problem_set(&problem, exchange->arena, PROBLEM_TOO_LARGE,
                      "Request body too large: %" PRIu64 " bytes or more (max %" PRId64 " bytes)",
                      len, exchange->gateway->body_max_bytes);
    http_refuse(exchange, &problem);
}
