// An HTTP request on its way to its handler: what is wrong with its head is answered before its
// body is read.
#include "gateway/dispatch.h"

#include "broker/base/id.h"
#include "broker/base/timestamp.h"
#include "broker/base/utf8.h"
#include "broker/message/issues.h"
#include "gateway/auth.h"
#include "gateway/cors.h"
#include "gateway/http.h"
#include "gateway/routes.h"

#include <string.h>
#include <strings.h>

#define REQUEST_ID_MAX 128
#define ID_SHOWN_MAX 64
#define BUSY_RETRY_SECONDS 2

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
    struct web_request *request = exchange->request;
    const struct header location = {
        "Location",
        arena_printf(exchange->arena, "%s%s", web_origin(request), web_location(request, 1))};

    http_respond(exchange, 307, NULL, &location, 1, "", 0);
}

static enum rc refuse_packet_id(struct exchange *exchange, const char *error,
                                struct problem *problem)
{
    struct issues issues = {.arena = exchange->arena};
    struct path path = {0};

    path_push_name(&path, text_of("path"));
    path_push_name(&path, text_of("packet_id"));
    (void)issues_add(&issues, &path, "uuid_parsing",
                     arena_printf(exchange->arena, "Input should be a valid UUID, %s", error));
    return issues_to_problem(&issues, problem);
}

// The ids in the path, normalised. What is no UUID is a mistake in a packet's id, and nobody else's
// id.
static enum rc check_id(struct exchange *exchange, struct path_id *id, struct problem *problem)
{
    struct uuid uuid;
    const char *error = uuid_parse(id->value, strlen(id->value), &uuid);
    const char *what = strcmp(id->name, "hook_id") == 0 ? "Webhook" : "Delivery";
    char *normal;

    if (strcmp(id->name, "schema_id") == 0)
        return RC_OK; // any text
    if (error == NULL) {
        normal = arena_alloc(exchange->arena, UUID_TEXT_BYTES);
        uuid_format(normal, &uuid);
        id->value = normal;
        return RC_OK;
    }
    if (strcmp(id->name, "packet_id") == 0)
        return refuse_packet_id(exchange, error, problem);
    // Any bytes: what cannot be an id is not repeated if it is long, or no text.
    if (strlen(id->value) > ID_SHOWN_MAX || !utf8_is_valid(id->value, strlen(id->value)))
        return problem_set(problem, exchange->arena, PROBLEM_NOT_FOUND, "%s not found", what);
    return problem_set(problem, exchange->arena, PROBLEM_NOT_FOUND, "%s %s not found", what,
                       id->value);
}

static enum rc check_ids(struct exchange *exchange, struct problem *problem)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < exchange->ids.count && rc == RC_OK; i++)
        rc = check_id(exchange, &exchange->ids.items[i], problem);
    return rc;
}

static enum rc check_coding(struct exchange *exchange, struct problem *problem)
{
    const char *coding = web_header(exchange->request, "Content-Encoding");

    if (coding == NULL || *coding == '\0' || strcasecmp(coding, "identity") == 0)
        return RC_OK;
    return problem_set(problem, exchange->arena, PROBLEM_UNSUPPORTED_MEDIA,
                       "Request bodies with Content-Encoding are not read; send it unencoded");
}

// False: there is no such route, and the exchange has been answered.
static bool find_route(struct exchange *exchange)
{
    struct web_request *request = exchange->request;
    const struct route *route = NULL;
    struct problem problem;
    enum match match = routes_find(web_method(request), web_path(request), exchange->arena, &route,
                                   &exchange->ids);

    exchange->route = route;
    if (match == MATCH_ROUTE)
        return true;
    if (match == MATCH_METHOD) {
        refuse_method(exchange);
        return false;
    }
    exchange->route = NULL;
    if (match == MATCH_SLASH) {
        redirect(exchange);
        return false;
    }
    (void)problem_set(&problem, exchange->arena, PROBLEM_NO_ROUTE, "Not Found");
    http_refuse(exchange, &problem);
    return false;
}

static bool answer_preflight(struct exchange *exchange)
{
    struct header headers[CORS_HEADERS_MAX];
    size_t count = cors_preflight(exchange, headers);

    if (count > 0)
        http_respond(exchange, 200, "text/plain", headers, count, "OK", 2);
    return count > 0;
}

void dispatch_on_head(void *ctx, struct web_request *request)
{
    struct exchange *exchange = exchange_create(ctx, request);
    struct problem problem;
    enum rc rc = RC_OK;

    web_set_user(request, exchange);
    if (answer_preflight(exchange) || !find_route(exchange))
        return;
    if (route_role(exchange->route) != ROLE_NONE)
        rc = auth_check(exchange, route_role(exchange->route), &problem);
    if (rc == RC_OK)
        rc = check_coding(exchange, &problem);
    if (rc == RC_OK)
        rc = check_ids(exchange, &problem);
    if (rc != RC_OK)
        http_refuse(exchange, &problem);
}

void dispatch_on_request(void *ctx, struct web_request *request)
{
    struct exchange *exchange = web_user(request);

    (void)ctx;
    routes_handler(exchange->route)(exchange);
}

static enum problem_code code_of(unsigned status)
{
    for (int code = PROBLEM_NONE + 1; code < PROBLEM_CODES; code++) {
        if (problem_status((enum problem_code)code) == status)
            return (enum problem_code)code;
    }
    return PROBLEM_INTERNAL;
}

void dispatch_on_refusal(void *ctx, struct web_request *request, unsigned status, const char *text)
{
    struct exchange *exchange = web_user(request);
    struct problem problem;

    if (exchange == NULL)
        exchange = exchange_create(ctx, request);
    (void)problem_set(&problem, exchange->arena, code_of(status), "%s", text);
    if (status == 503)
        problem.retry_after_seconds = BUSY_RETRY_SECONDS;
    http_refuse(exchange, &problem);
}
