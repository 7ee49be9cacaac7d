// What the handlers read of an exchange, and how they answer it.
#include "gateway/http.h"

#include "broker/base/digest.h"
#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/message/query_read.h"
#include "broker/message/rules.h"
#include "broker/message/transcript.h"
#include "broker/nats/subjects.h"
#include "gateway/cors.h"
#include "gateway/parameters.h"
#include "gateway/traffic.h"

#include <inttypes.h>
#include <stdio.h>

#define OWN_HEADERS 8 // that every answer may get: at most so many
#define LABEL_MAX 128

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

// A route's path as a label: what stands in braces is ":id", because braces end the list of labels
// for simple readers of the metrics.
static void put_label(char label[LABEL_MAX], const char *path)
{
    size_t len = 0;

    while (*path != '\0' && len < LABEL_MAX - 4) {
        if (*path != '{') {
            label[len++] = *path++;
            continue;
        }
        memcpy(label + len, ":id", 3);
        len += 3;
        path = strchr(path, '}') + 1;
    }
    label[len] = '\0';
}

static void count(const struct exchange *exchange, unsigned status)
{
    const char *pattern = exchange->route != NULL ? exchange->route->path : "unmatched";
    // A method of the client's own invention must not become a series.
    const char *method = exchange->route != NULL ? exchange->route->method : "any";
    double seconds = (double)(clock_now_ns() - exchange->start_ns) / 1e9;
    char path[LABEL_MAX];
    char labels[LABEL_MAX + 32];

    if (strcmp(pattern, "/metrics") == 0)
        return;
    put_label(path, pattern);
    (void)snprintf(labels, sizeof labels, "%s\x1f%s\x1f%u", method, path, status);
    metric_add(requests_total, labels, 1);
    (void)snprintf(labels, sizeof labels, "%s\x1f%s", method, path);
    metric_observe(request_seconds, labels, seconds);
    if (exchange->caller.tenant != NULL)
        traffic_note(exchange->gateway->traffic, exchange->caller.tenant, clock_now_ns());
}

struct all_headers {
    struct header *items;
    size_t count;
};

// What every answer begins with, in the exchange's arena.
static struct all_headers begin_answer(const struct exchange *exchange, unsigned status,
                                       const char *type, const struct header *headers,
                                       size_t header_count)
{
    struct all_headers all = {
        .items = arena_alloc(exchange->arena, (OWN_HEADERS + header_count) * sizeof *all.items)};

    all.items[all.count++] = (struct header){"X-Request-Id", exchange->id};
    if (type != NULL)
        all.items[all.count++] = (struct header){"Content-Type", type};
    if (exchange->ignored_parameters != NULL)
        all.items[all.count++] =
            (struct header){"X-HR-Ignored-Params", exchange->ignored_parameters};
    all.count += cors_headers(exchange, &all.items[all.count]);
    for (size_t i = 0; i < header_count; i++)
        all.items[all.count++] = headers[i];
    count(exchange, status);
    log_debug("http.request", "id=\"%s\" method=%s path=\"%s\" status=%u us=%" PRId64, exchange->id,
              web_method(exchange->request),
              exchange->route != NULL ? exchange->route->path : "unmatched", status,
              (clock_now_ns() - exchange->start_ns) / 1000);
    return all;
}

void http_respond(struct exchange *exchange, unsigned status, const char *type,
                  const struct header *headers, size_t header_count, const void *body, size_t len)
{
    struct all_headers all = begin_answer(exchange, status, type, headers, header_count);

    web_respond(exchange->request, status, all.items, all.count, body, len);
}

void http_respond_stream(struct exchange *exchange, const char *type, const struct header *headers,
                         size_t header_count, const struct web_stream *stream)
{
    struct all_headers all = begin_answer(exchange, 200, type, headers, header_count);

    web_respond_stream(exchange->request, 200, all.items, all.count, stream);
}

void http_upgrade(struct exchange *exchange, const struct websocket_config *config)
{
    struct all_headers all = begin_answer(exchange, 101, NULL, NULL, 0);

    websocket_accept(exchange->request, all.items, all.count, config);
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
        body = json_of_answer(exchange->arena, message,
                              web_header(exchange->request, HEADER_TRANSCRIPT));
    http_respond(exchange, status, status != 204 ? "application/json" : NULL, headers,
                 sequence != 0 ? 2 : 0, body.data, body.len);
}

// --- input ---------------------------------------------------------------------------------------

// A POST whose every field may be absent needs no body: "curl -X POST .../release" says it all.
static bool may_be_empty(const struct route *route)
{
    const ProtobufCMessageDescriptor *body = route_body(route);

    if (strcmp(route->method, "POST") != 0)
        return false;
    for (unsigned i = 0; i < body->n_fields; i++) {
        if ((rules_of(body, i)->flags & RULE_REQUIRED) != 0)
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
    rc = json_read(&message, exchange->arena, route_body(exchange->route), body, len, &issues,
                   &problem);

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

static bool query_value(const void *request, const char *name, Text *value)
{
    const struct web_parameter *parameter = web_parameter(request, name);

    if (parameter != NULL)
        *value = (Text){parameter->value_len, (uint8_t *)(uintptr_t)parameter->value};
    return parameter != NULL;
}

ProtobufCMessage *http_query(struct exchange *exchange)
{
    struct issues issues = {.arena = exchange->arena};
    struct problem problem;
    ProtobufCMessage *message = query_read(exchange->arena, route_query(exchange->route),
                                           query_value, exchange->request, &issues);

    message_check(message, "query", true, &issues);
    parameters_check(exchange, &issues);
    if (issues.count == 0)
        return message;
    (void)issues_to_problem(&issues, &problem);
    http_refuse(exchange, &problem);
    return NULL;
}

const char *exchange_id(const struct exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->ids.count; i++) {
        if (strcmp(exchange->ids.items[i].name, name) == 0)
            return exchange->ids.items[i].value;
    }
    return NULL;
}
