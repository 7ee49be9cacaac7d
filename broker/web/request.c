// What was asked: memory of requests, and what a handler reads of one.
#include "broker/web/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARENA_BYTES (8 * 1024)
#define KEPT_BYTES (64 * 1024) // of buffers that stay with a spare request
#define SPARE_MAX 256

// --- memory --------------------------------------------------------------------------------------

struct web_request *request_take(struct connection *connection)
{
    struct web *web = connection->web;
    struct web_request *request = web->spare;
    struct arena *arena;
    struct buf raw;
    struct buf body;

    if (request == NULL) {
        request = calloc(1, sizeof *request);
        if (request == NULL)
            abort();
        request->arena = arena_create(ARENA_BYTES);
    } else {
        web->spare = request->next;
        web->spare_count--;
    }
    arena = request->arena;
    raw = request->raw;
    body = request->body;
    *request = (struct web_request){.web = web,
                                    .connection = connection,
                                    .arena = arena,
                                    .raw = raw,
                                    .body = body,
                                    .head = {.method = ""},
                                    .target = {.path = ""}};
    connection->request = request;
    return request;
}

static void request_free(struct web_request *request)
{
    arena_destroy(request->arena);
    buf_fini(&request->raw);
    buf_fini(&request->body);
    free(request);
}

void request_give_back(struct web_request *request)
{
    struct web *web = request->web;

    request->connection->request = NULL;
    web->bodies -= request->body_held;
    request->next = web->answered;
    web->answered = request;
}

static void settle(struct web *web, struct web_request *request)
{
    bool is_large = request->body.cap + request->raw.cap > KEPT_BYTES ||
                    arena_used(request->arena) > KEPT_BYTES;

    if (is_large || web->spare_count == SPARE_MAX) {
        request_free(request);
        return;
    }
    arena_reset(request->arena);
    buf_reset(&request->raw);
    buf_reset(&request->body);
    request->next = web->spare;
    web->spare = request;
    web->spare_count++;
}

void requests_settle(struct web *web)
{
    while (web->answered != NULL) {
        struct web_request *request = web->answered;

        web->answered = request->next;
        settle(web, request);
    }
}

void requests_free(struct web *web)
{
    requests_settle(web);
    while (web->spare != NULL) {
        struct web_request *request = web->spare;

        web->spare = request->next;
        request_free(request);
    }
}

// --- what a handler reads ------------------------------------------------------------------------

const char *web_method(const struct web_request *request)
{
    return request->head.method;
}

const char *web_path(const struct web_request *request)
{
    return request->target.path;
}

const char *web_header(const struct web_request *request, const char *name)
{
    const struct span *value = head_find(&request->head, name);

    return value != NULL ? value->at : NULL;
}

const void *web_body(const struct web_request *request, size_t *len)
{
    *len = request->body.len;
    return request->body.data != NULL ? request->body.data : "";
}

struct arena *web_arena(struct web_request *request)
{
    return request->arena;
}

const struct web_parameter *web_parameters(const struct web_request *request, size_t *count)
{
    *count = request->target.parameter_count;
    return request->target.parameters;
}

const struct web_parameter *web_parameter(const struct web_request *request, const char *name)
{
    const struct target *target = &request->target;
    size_t len = strlen(name);

    for (size_t i = target->parameter_count; i > 0; i--) {
        const struct web_parameter *parameter = &target->parameters[i - 1];

        if (parameter->name_len == len && memcmp(parameter->name, name, len) == 0)
            return parameter;
    }
    return NULL;
}

const char *web_query(const struct web_request *request, const char *name)
{
    const struct web_parameter *parameter = web_parameter(request, name);

    if (parameter == NULL || strlen(parameter->value) != parameter->value_len)
        return NULL;
    return parameter->value;
}

const char *web_location(struct web_request *request, size_t cut)
{
    const struct span *path = &request->target.raw_path;
    const struct span *query = &request->target.raw_query;

    return arena_printf(request->arena, "%.*s%s%.*s", (int)(path->len - cut), path->at,
                        query->len > 0 ? "?" : "", (int)query->len, query->at);
}

const char *web_origin(struct web_request *request)
{
    const char *host = web_header(request, "Host");
    const char *scheme = web_header(request, "X-Forwarded-Proto");

    if (host == NULL || *host == '\0')
        return "";
    if (scheme == NULL || strcasecmp(scheme, "https") != 0)
        scheme = "http";
    return arena_printf(request->arena, "%s://%s", scheme, host);
}

void web_set_user(struct web_request *request, void *user)
{
    request->user = user;
}

void *web_user(const struct web_request *request)
{
    return request->user;
}

void web_on_gone(struct web_request *request, void (*gone)(void *ctx), void *ctx)
{
    request->on_gone = gone;
    request->gone_ctx = ctx;
}

bool web_is_gone(const struct web_request *request)
{
    return request->connection->gone;
}
