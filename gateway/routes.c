// The route table and how a path is found in it.
#include "gateway/routes.h"

#include "gateway/audit_export.h"
#include "gateway/command_route.h"
#include "gateway/numbers.h"
#include "gateway/packets.h"
#include "gateway/reference.h"
#include "gateway/sse.h"
#include "gateway/system.h"
#include "gateway/ws.h"

#include <assert.h>
#include <string.h>

// Commands whose routes do more than send them.
static const struct {
    enum command_id command;
    route_fn handle;
} special[] = {
    {CMD_GET,           packets_get       },
    {CMD_CLAIM_NEXT,    packets_claim_next},
    {CMD_AUDIT_EXPORT,  audit_export      },
    {CMD_STATS,         numbers_stats     },
    {CMD_SYSTEM_HEALTH, numbers_health    },
};

route_fn routes_handler(const struct route *route)
{
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        if (special[i].command == route->command)
            return special[i].handle;
    }
    return route->command != CMD_NONE ? command_route : route->handle;
}

// Routes that are no commands come first; then every command that has one, see command_table.h.
// clang-format off
const struct route routes[] = {
    {.method = "GET", .path = "/health", .handle = system_health, .operation = "health", .summary = "Is the gateway alive?",
     .success = 200, .media = "application/json"},
    {.method = "GET", .path = "/ready", .handle = system_ready, .operation = "ready", .summary = "Can the rail do its work: NATS, Postgres, workers?",
     .success = 200, .media = "application/json"},
    {.method = "GET", .path = "/metrics", .handle = system_metrics, .operation = "metrics", .summary = "Prometheus metrics",
     .success = 200, .media = "text/plain"},
    {.method = "GET", .path = "/openapi.json", .handle = system_openapi, .operation = "openapi", .summary = "This document",
     .success = 200, .media = "application/json"},
    {.method = "GET", .path = "/docs", .handle = reference_get, .operation = "docs", .summary = "This document as a page",
     .success = 200, .media = "text/html"},
    {.method = "GET", .path = "/redoc", .handle = reference_get, .operation = "redoc", .summary = "This document as a page",
     .success = 200, .media = "text/html"},
    {.method = "GET", .path = "/events", .handle = sse_listen, .operation = "listenEvents", .summary = "Live events of the tenant (SSE); the key may be the parameter api_key",
     .success = 200, .role = ROLE_READER, .query = &hr__listen_query__descriptor, .media = "text/event-stream"},
    {.method = "GET", .path = "/ws", .handle = ws_listen, .operation = "listenSocket", .summary = "Live events of the tenant (WebSocket); the key may be the parameter api_key",
     .success = 101, .role = ROLE_READER, .query = &hr__listen_query__descriptor},
    {.method = "GET", .path = "/api/v1/events", .handle = sse_listen, .operation = "listenEventsV1", .summary = "Live events of the tenant (SSE); the key may be the parameter api_key",
     .success = 200, .role = ROLE_READER, .query = &hr__listen_query__descriptor, .media = "text/event-stream"},
    {.method = "GET", .path = "/api/v1/ws", .handle = ws_listen, .operation = "listenSocketV1", .summary = "Live events of the tenant (WebSocket); the key may be the parameter api_key",
     .success = 101, .role = ROLE_READER, .query = &hr__listen_query__descriptor},
#define X(id, method_, path_, success_, operation_, summary_)                                       \
    {.method = (method_), .path = (path_), .command = CMD_##id, .operation = (operation_),         \
     .summary = (summary_), .success = (success_)},
    COMMAND_ROUTES(X)
#undef X
    {.method = NULL},
};
// clang-format on

// What stands in a path for one name in braces.
struct piece {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

// Segment by segment. pieces: room for PATH_IDS_MAX; *count: how many the pattern has.
static bool path_matches(const char *pattern, const char *path, size_t path_len,
                         struct piece *pieces, size_t *count)
{
    const char *end = path + path_len;

    *count = 0;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            const char *close = strchr(pattern, '}');
            const char *slash = memchr(path, '/', (size_t)(end - path));
            size_t len = (size_t)((slash != NULL ? slash : end) - path);

            if (len == 0)
                return false;
            assert(*count < PATH_IDS_MAX); // a test walks the table
            pieces[(*count)++] =
                (struct piece){pattern + 1, (size_t)(close - pattern - 1), path, len};
            path += len;
            pattern = close + 1;
        } else if (path < end && *pattern == *path) {
            pattern++;
            path++;
        } else {
            return false;
        }
    }
    return path == end;
}

static void keep_ids(struct path_ids *ids, const struct piece *pieces, size_t count,
                     struct arena *arena)
{
    ids->count = count;
    for (size_t i = 0; i < count; i++)
        ids->items[i] = (struct path_id){arena_copy(arena, pieces[i].name, pieces[i].name_len),
                                         arena_copy(arena, pieces[i].value, pieces[i].value_len)};
}

static enum match find(const char *method, const char *path, size_t len, struct arena *arena,
                       const struct route **route, struct path_ids *ids)
{
    enum match result = MATCH_NONE;
    struct piece pieces[PATH_IDS_MAX];
    size_t count;

    ids->count = 0;
    for (const struct route *row = routes; row->method != NULL; row++) {
        if (!path_matches(row->path, path, len, pieces, &count))
            continue;
        if (strcmp(row->method, method) == 0) {
            *route = row;
            keep_ids(ids, pieces, count, arena);
            return MATCH_ROUTE;
        }
        if (result == MATCH_NONE)
            *route = row;
        result = MATCH_METHOD;
    }
    return result;
}

enum match routes_find(const char *method, const char *path, struct arena *arena,
                       const struct route **route, struct path_ids *ids)
{
    size_t len = strlen(path);
    enum match result = find(method, path, len, arena, route, ids);

    if (result == MATCH_NONE && len > 1 && path[len - 1] == '/' &&
        find(method, path, len - 1, arena, route, ids) != MATCH_NONE)
        return MATCH_SLASH;
    return result;
}
