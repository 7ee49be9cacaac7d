// The route table and how a path is found in it.
#include "gateway/routes.h"

#include "gateway/audit_export.h"
#include "gateway/numbers.h"
#include "gateway/openapi.h"
#include "gateway/packets.h"
#include "gateway/reference.h"
#include "gateway/sse.h"
#include "gateway/system.h"
#include "gateway/ws.h"

#include <assert.h>
#include <string.h>

#define HOOKS "/api/v1/hooks"
#define PACKETS "/api/v1/packets"
#define SCHEMAS "/api/v1/schemas"

// A command and nothing else: it is sent, and its answer is the answer.
#define COMMAND(method_, path_, command_, operation_, success_, summary_)                          \
    {                                                                                              \
        .method = (method_), .path = (path_), .command = CMD_##command_,                           \
        .operation = (operation_), .success = (success_), .summary = (summary_)                    \
    }

// One with a handler of its own. What follows is set as well: role, query, media.
#define OTHER(method_, path_, command_, handle_, operation_, success_, summary_, ...)              \
    {                                                                                              \
        .method = (method_), .path = (path_), .command = CMD_##command_, .handle = (handle_),      \
        .operation = (operation_), .success = (success_), .summary = (summary_), __VA_ARGS__       \
    }

// A row is read as a row.
// clang-format off
const struct route routes[] = {
    OTHER("GET", "/health", NONE, system_health, "health", 200,
          "Is the gateway alive?", .media = "application/json"),
    OTHER("GET", "/ready", NONE, system_ready, "ready", 200,
          "Can the rail do its work: NATS, Postgres, workers?", .media = "application/json"),
    OTHER("GET", "/metrics", NONE, system_metrics, "metrics", 200,
          "Prometheus metrics", .media = "text/plain"),
    OTHER("GET", "/openapi.json", NONE, openapi_get, "openapi", 200,
          "This document", .media = "application/json"),
    OTHER("GET", "/docs", NONE, reference_get, "docs", 200,
          "This document as a page", .media = "text/html"),
    OTHER("GET", "/redoc", NONE, reference_get, "redoc", 200,
          "This document as a page", .media = "text/html"),
    COMMAND("GET", PACKETS, LIST, "listPackets", 200,
            "List packets, newest first"),
    COMMAND("POST", PACKETS, CREATE, "createPacket", 201,
            "Create a packet"),
    OTHER("POST", PACKETS "/claim-next", CLAIM_NEXT, packets_claim_next, "claimNext", 200,
          "Claim the best packet for an agent, waiting for one if asked to", .media = NULL),
    COMMAND("POST", PACKETS "/batch", BATCH_CREATE, "createPackets", 201,
            "Create many packets, each on its own"),
    COMMAND("POST", PACKETS "/batch/claim", BATCH_CLAIM, "claimPackets", 200,
            "Claim many packets, each on its own"),
    COMMAND("POST", PACKETS "/batch/complete", BATCH_COMPLETE, "completePackets", 200,
            "Complete many packets, each on its own"),
    COMMAND("POST", PACKETS "/batch/respond", BATCH_RESPOND, "respondPackets", 200,
            "Answer many checkpoints, each on its own"),
    COMMAND("GET", PACKETS "/search", SEARCH, "searchPackets", 200,
            "Full-text search, best match first"),
    COMMAND("GET", PACKETS "/awaiting", AWAITING, "listAwaiting", 200,
            "Packets that wait for a human, nearest deadline first"),
    OTHER("GET", PACKETS "/{packet_id}", GET, packets_get, "getPacket", 200,
          "Read a packet", .media = NULL),
    COMMAND("PATCH", PACKETS "/{packet_id}", UPDATE, "updatePacket", 200,
            "Change a packet"),
    COMMAND("DELETE", PACKETS "/{packet_id}", DELETE, "deletePacket", 204,
            "Delete a packet: it becomes expired and stays readable"),
    COMMAND("POST", PACKETS "/{packet_id}/claim", CLAIM, "claimPacket", 200,
            "Claim a packet; exactly one claimer wins"),
    COMMAND("POST", PACKETS "/{packet_id}/heartbeat", HEARTBEAT, "heartbeatClaim", 200,
            "Renew the lease of a claim"),
    COMMAND("POST", PACKETS "/{packet_id}/release", RELEASE, "releaseClaim", 200,
            "Release a claim"),
    COMMAND("POST", PACKETS "/{packet_id}/decline", DECLINE, "declinePacket", 200,
            "Decline a packet; it is not offered to this agent again"),
    COMMAND("POST", PACKETS "/{packet_id}/respond", RESPOND, "respondPacket", 200,
            "Answer the checkpoint a packet waits at"),
    COMMAND("GET", PACKETS "/{packet_id}/history", HISTORY, "getPacketHistory", 200,
            "What happened to a packet, oldest first"),
    COMMAND("POST", PACKETS "/{packet_id}/chain", CHAIN, "chainPacket", 201,
            "Create a follow-up packet that takes over the context"),
    COMMAND("GET", PACKETS "/{packet_id}/chain", TREE, "getPacketChain", 200,
            "The whole tree of a packet's ancestors and descendants"),
    COMMAND("GET", PACKETS "/{packet_id}/context", CONTEXT, "getPacketContext", 200,
            "What one ancestor holds itself, as the packet took it over"),
    COMMAND("POST", HOOKS, HOOK_CREATE, "createHook", 201,
            "Register a webhook"),
    COMMAND("GET", HOOKS, HOOK_LIST, "listHooks", 200,
            "List webhooks, inactive ones included, oldest first"),
    COMMAND("GET", HOOKS "/dlq", DLQ, "listDeadLetters", 200,
            "List dead letters, newest first"),
    COMMAND("POST", HOOKS "/dlq/retry-all", HOOK_RETRY_ALL, "retryDeadLetters", 200,
            "Send up to 100 dead letters again, now"),
    COMMAND("POST", HOOKS "/dlq/{delivery_id}/replay", HOOK_REPLAY, "replayDelivery", 200,
            "Send a dead letter again, now"),
    COMMAND("GET", HOOKS "/{hook_id}", HOOK_GET, "getHook", 200,
            "Read a webhook"),
    COMMAND("PATCH", HOOKS "/{hook_id}", HOOK_UPDATE, "updateHook", 200,
            "Change a webhook's URL, events and filters, or make it active or inactive"),
    COMMAND("DELETE", HOOKS "/{hook_id}", HOOK_DELETE, "deleteHook", 204,
            "Deactivate a webhook; it stays listed"),
    COMMAND("POST", HOOKS "/{hook_id}/test", HOOK_TEST, "testHook", 200,
            "Send a test event, now"),
    COMMAND("POST", HOOKS "/{hook_id}/rotate-secret", HOOK_ROTATE, "rotateHookSecret", 200,
            "Sign with a new secret; the old one signs as well for a day"),
    COMMAND("POST", HOOKS "/{hook_id}/recover", HOOK_RECOVER, "recoverHook", 200,
            "Send again what failed since a point in time"),
    COMMAND("GET", HOOKS "/{hook_id}/deliveries", DELIVERIES, "listDeliveries", 200,
            "Deliveries of a webhook, newest first"),
    COMMAND("GET", HOOKS "/{hook_id}/deliveries/{delivery_id}", DELIVERY, "getDelivery", 200,
            "One delivery with its request and the answer to it"),
    COMMAND("GET", SCHEMAS, SCHEMA_LIST, "listSchemas", 200,
            "List JSON Schemas, newest first"),
    COMMAND("POST", SCHEMAS, SCHEMA_CREATE, "createSchema", 201,
            "Register a JSON Schema for the contexts of packets"),
    COMMAND("GET", SCHEMAS "/{schema_id}", SCHEMA_GET, "getSchema", 200,
            "Read a JSON Schema"),
    COMMAND("GET", "/api/v1/audit", AUDIT_LIST, "listAudit", 200,
            "List the audit log, newest first"),
    OTHER("GET", "/api/v1/audit/export", AUDIT_EXPORT, audit_export, "exportAudit", 200,
          "Stream the audit log, or what the filters leave, as NDJSON or CSV, oldest first", .media = "application/x-ndjson text/csv"),
    OTHER("GET", "/api/v1/stats", STATS, numbers_stats, "getStats", 200,
          "Tenant statistics", .media = NULL),
    OTHER("GET", "/api/v1/system/health", SYSTEM_HEALTH, numbers_health, "getSystemHealth", 200,
          "Rail statistics; of the tenant alone for a key that is not the platform's", .media = NULL),
    OTHER("GET", "/events", NONE, sse_listen, "listenEvents", 200,
          "Live changes of the tenant as server-sent events; the key may be the query's api_key", .role = ROLE_READER, .query = &hr__listen_query__descriptor, .media = "text/event-stream"),
    OTHER("GET", "/ws", NONE, ws_listen, "listenSocket", 101,
          "Live changes of the tenant over WebSocket; the key may be the query's api_key", .role = ROLE_READER, .query = &hr__listen_query__descriptor),
    OTHER("GET", "/api/v1/events", NONE, sse_listen, "listenEventsV1", 200,
          "Live changes of the tenant as server-sent events; the key may be the query's api_key", .role = ROLE_READER, .query = &hr__listen_query__descriptor, .media = "text/event-stream"),
    OTHER("GET", "/api/v1/ws", NONE, ws_listen, "listenSocketV1", 101,
          "Live changes of the tenant over WebSocket; the key may be the query's api_key", .role = ROLE_READER, .query = &hr__listen_query__descriptor),
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
