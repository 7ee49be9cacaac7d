// The route table and how a path is found in it.
#include "gateway/routes.h"

#include "gateway/audit.h"
#include "gateway/audit_export.h"
#include "gateway/hooks.h"
#include "gateway/numbers.h"
#include "gateway/openapi.h"
#include "gateway/packets.h"
#include "gateway/reference.h"
#include "gateway/schemas.h"
#include "gateway/sse.h"
#include "gateway/system.h"
#include "gateway/ws.h"

#define HOOKS "/api/v1/hooks"
#define PACKETS "/api/v1/packets"
#define SCHEMAS "/api/v1/schemas"

// A row is read as a row.
// clang-format off
const struct route routes[] = {
    {"GET", "/health", ROLE_NONE, system_health, "health",
     "Is the gateway alive?", 200, NULL, NULL, NULL, 0, "application/json"},
    {"GET", "/ready", ROLE_NONE, system_ready, "ready",
     "Can the rail do its work: NATS, Postgres, workers?", 200, NULL, NULL, NULL,
     0, "application/json"},
    {"GET", "/metrics", ROLE_NONE, system_metrics, "metrics",
     "Prometheus metrics", 200, NULL, NULL, NULL, 0, "text/plain"},
    {"GET", "/openapi.json", ROLE_NONE, openapi_get, "openapi",
     "This document", 200, NULL, NULL, NULL, 0, "application/json"},
    {"GET", "/docs", ROLE_NONE, reference_get, "docs",
     "This document as a page", 200, NULL, NULL, NULL, 0, "text/html"},
    {"GET", "/redoc", ROLE_NONE, reference_get, "redoc",
     "This document as a page", 200, NULL, NULL, NULL, 0, "text/html"},
    {"GET", PACKETS, ROLE_READER, packets_list, "listPackets",
     "List packets, newest first", 200, &hr__list_packets__descriptor, NULL,
     &hr__packet_page__descriptor, ROUTE_READS, NULL},
    {"POST", PACKETS, ROLE_WRITER, packets_create, "createPacket",
     "Create a packet", 201, NULL, &hr__create_packet__descriptor, &hr__packet__descriptor,
     ROUTE_AUDITS, NULL},
    {"POST", PACKETS "/claim-next", ROLE_AGENT, packets_claim_next, "claimNext",
     "Take the best packet for this agent, waiting for one if need be", 200,
     NULL, &hr__claim_next__descriptor, &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_EMPTY, NULL},
    {"POST", PACKETS "/batch", ROLE_WRITER, packets_batch_create, "createPackets",
     "Create many packets, each alone", 201, NULL, &hr__batch_create__descriptor,
     &hr__batch_created__descriptor, ROUTE_AUDITS, NULL},
    {"POST", PACKETS "/batch/claim", ROLE_AGENT, packets_batch_claim, "claimPackets",
     "Take many packets, each alone", 200, NULL, &hr__batch_claim__descriptor,
     &hr__batch_claimed__descriptor, ROUTE_AUDITS, NULL},
    {"POST", PACKETS "/batch/complete", ROLE_WRITER, packets_batch_complete, "completePackets",
     "Complete many packets, each alone", 200, NULL, &hr__batch_complete__descriptor,
     &hr__batch_completed__descriptor, ROUTE_AUDITS, NULL},
    {"POST", PACKETS "/batch/respond", ROLE_AGENT, packets_batch_respond, "respondPackets",
     "Answer many checkpoints, each alone", 200, NULL, &hr__batch_respond__descriptor,
     &hr__batch_responded__descriptor, ROUTE_AUDITS, NULL},
    {"GET", PACKETS "/search", ROLE_READER, packets_search, "searchPackets",
     "Find packets by what is said in them, best first", 200, &hr__search_packets__descriptor, NULL,
     &hr__packet_page__descriptor, ROUTE_READS, NULL},
    {"GET", PACKETS "/awaiting", ROLE_READER, packets_awaiting, "listAwaiting",
     "Packets that wait for a human, the nearest deadline first", 200,
     &hr__list_awaiting__descriptor, NULL, &hr__packet_page__descriptor, ROUTE_READS, NULL},
    {"GET", PACKETS "/{id}", ROLE_READER, packets_get, "getPacket",
     "Read a packet", 200, NULL, NULL, &hr__packet__descriptor, 0, NULL},
    {"PATCH", PACKETS "/{id}", ROLE_AGENT, packets_update, "updatePacket",
     "Change a packet", 200, NULL, &hr__update_packet__descriptor, &hr__packet__descriptor,
     ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"DELETE", PACKETS "/{id}", ROLE_WRITER, packets_delete, "deletePacket",
     "Delete a packet: it becomes expired and stays readable", 204, NULL, NULL, NULL,
     ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"POST", PACKETS "/{id}/claim", ROLE_AGENT, packets_claim, "claimPacket",
     "Take a packet; exactly one claimer wins", 200, NULL, &hr__claim_packet__descriptor,
     &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"POST", PACKETS "/{id}/heartbeat", ROLE_AGENT, packets_heartbeat, "heartbeatClaim",
     "Its holder is alive: the lease begins anew", 200, NULL, &hr__heartbeat_claim__descriptor,
     &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"POST", PACKETS "/{id}/release", ROLE_AGENT, packets_release, "releaseClaim",
     "Its holder gives it back", 200, NULL, &hr__release_claim__descriptor,
     &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"POST", PACKETS "/{id}/decline", ROLE_AGENT, packets_decline, "declinePacket",
     "An agent will not have it and is not offered it again", 200, NULL,
     &hr__decline_packet__descriptor, &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"POST", PACKETS "/{id}/respond", ROLE_AGENT, packets_respond, "respondPacket",
     "Answer the checkpoint a packet waits at", 200, NULL, &hr__respond_packet__descriptor,
     &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"GET", PACKETS "/{id}/history", ROLE_READER, packets_history, "getPacketHistory",
     "What happened to a packet, oldest first", 200, &hr__get_history__descriptor, NULL,
     &hr__history__descriptor, ROUTE_READS, NULL},
    {"POST", PACKETS "/{id}/chain", ROLE_WRITER, packets_chain, "chainPacket",
     "Go on from a packet: a new one that takes over what it knows", 201, NULL,
     &hr__chain_packet__descriptor, &hr__packet__descriptor, ROUTE_AUDITS | ROUTE_FENCES, NULL},
    {"GET", PACKETS "/{id}/chain", ROLE_READER, packets_tree, "getPacketChain",
     "The whole tree of a packet's ancestors and descendants", 200, NULL, NULL,
     &hr__chain_tree__descriptor, ROUTE_READS, NULL},
    {"GET", PACKETS "/{id}/context", ROLE_READER, packets_context, "getPacketContext",
     "What one ancestor holds itself, as the packet took it over", 200,
     &hr__get_context__descriptor, NULL, &hr__own_part__descriptor, 0, NULL},
    {"POST", HOOKS, ROLE_WRITER, hooks_create, "createHook",
     "Be told of changes over HTTP", 201, NULL, &hr__create_hook__descriptor,
     &hr__hook_view__descriptor, 0, NULL},
    {"GET", HOOKS, ROLE_WRITER, hooks_list, "listHooks",
     "The tenant's webhooks, inactive ones included, oldest first", 200, NULL, NULL,
     &hr__hook_list__descriptor, 0, NULL},
    {"GET", HOOKS "/dlq", ROLE_WRITER, hooks_dlq, "listDeadLetters",
     "Deliveries that were given up, the last one first", 200, &hr__list_dlq__descriptor, NULL,
     &hr__dlq_list__descriptor, 0, NULL},
    {"POST", HOOKS "/dlq/retry-all", ROLE_ADMIN, hooks_retry_all, "retryDeadLetters",
     "Send up to 100 dead letters once more, now", 200, NULL, NULL,
     &hr__retried_all__descriptor, 0, NULL},
    {"POST", HOOKS "/dlq/{id}/replay", ROLE_WRITER, hooks_replay, "replayDelivery",
     "Send a dead letter once more, now", 200, NULL, NULL, &hr__replayed__descriptor, 0, NULL},
    {"GET", HOOKS "/{id}", ROLE_WRITER, hooks_get, "getHook",
     "Read a webhook", 200, NULL, NULL, &hr__hook_view__descriptor, 0, NULL},
    {"PATCH", HOOKS "/{id}", ROLE_WRITER, hooks_update, "updateHook",
     "Change a webhook's URL, events and filters, or make it active or inactive", 200, NULL,
     &hr__update_hook__descriptor, &hr__hook_view__descriptor, 0, NULL},
    {"DELETE", HOOKS "/{id}", ROLE_WRITER, hooks_delete, "deleteHook",
     "Make a webhook inactive; it stays listed", 204, NULL, NULL, NULL, 0, NULL},
    {"POST", HOOKS "/{id}/test", ROLE_WRITER, hooks_test, "testHook",
     "Send a test event, now", 200, NULL, NULL, &hr__tested_hook__descriptor, 0, NULL},
    {"POST", HOOKS "/{id}/rotate-secret", ROLE_WRITER, hooks_rotate, "rotateHookSecret",
     "Sign with a new secret; the old one signs as well for a day", 200, NULL,
     &hr__rotate_hook__descriptor, &hr__hook_view__descriptor, 0, NULL},
    {"POST", HOOKS "/{id}/recover", ROLE_WRITER, hooks_recover, "recoverHook",
     "Send again what failed for good since a moment", 200, NULL, &hr__recover_hook__descriptor,
     &hr__recovered__descriptor, 0, NULL},
    {"GET", HOOKS "/{id}/deliveries", ROLE_WRITER, hooks_deliveries, "listDeliveries",
     "What became of a webhook's events, newest first", 200, &hr__list_deliveries__descriptor, NULL,
     &hr__delivery_list__descriptor, 0, NULL},
    {"GET", HOOKS "/{id}/deliveries/{delivery_id}", ROLE_WRITER, hooks_delivery, "getDelivery",
     "One delivery with its request and the answer to it", 200, NULL, NULL,
     &hr__delivery_detail__descriptor, 0, NULL},
    {"GET", SCHEMAS, ROLE_WRITER, schemas_list, "listSchemas",
     "List JSON Schemas, newest first", 200, &hr__list_schemas__descriptor, NULL,
     &hr__schema_page__descriptor, 0, NULL},
    {"POST", SCHEMAS, ROLE_WRITER, schemas_create, "createSchema",
     "Register a JSON Schema for the contexts of packets", 201, NULL,
     &hr__create_schema__descriptor, &hr__schema__descriptor, 0, NULL},
    {"GET", SCHEMAS "/{schema_id}", ROLE_WRITER, schemas_get, "getSchema",
     "Read a JSON Schema", 200, NULL, NULL, &hr__schema__descriptor, 0, NULL},
    {"GET", "/api/v1/audit", ROLE_READER, audit_list, "listAudit",
     "What happened in the tenant, newest first", 200, &hr__list_audit__descriptor, NULL,
     &hr__audit_page__descriptor, ROUTE_READS, NULL},
    {"GET", "/api/v1/audit/export", ROLE_READER, audit_export, "exportAudit",
     "The whole audit log or what the filters leave, oldest first, as NDJSON or CSV, streamed", 200,
     &hr__export_audit__descriptor, NULL, NULL, ROUTE_READS, "application/x-ndjson text/csv"},
    {"GET", "/api/v1/stats", ROLE_READER, numbers_stats, "getStats",
     "Numbers of the tenant", 200, NULL, NULL, &hr__stats__descriptor, ROUTE_READS, NULL},
    {"GET", "/api/v1/system/health", ROLE_ADMIN, numbers_health, "getSystemHealth",
     "Numbers of the rail; of the tenant alone for a key that is not the platform's", 200, NULL,
     NULL, &hr__system_health__descriptor, ROUTE_READS, NULL},
    {"GET", "/events", ROLE_READER, sse_listen, "listenEvents",
     "Live changes of the tenant as server-sent events; the key may be the query's api_key", 200,
     &hr__listen_query__descriptor, NULL, NULL, 0, "text/event-stream"},
    {"GET", "/ws", ROLE_READER, ws_listen, "listenSocket",
     "Live changes of the tenant over WebSocket; the key may be the query's api_key", 101,
     &hr__listen_query__descriptor, NULL, NULL, 0, NULL},
    {"GET", "/api/v1/events", ROLE_READER, sse_listen, "listenEventsV1",
     "Live changes of the tenant as server-sent events; the key may be the query's api_key", 200,
     &hr__listen_query__descriptor, NULL, NULL, 0, "text/event-stream"},
    {"GET", "/api/v1/ws", ROLE_READER, ws_listen, "listenSocketV1",
     "Live changes of the tenant over WebSocket; the key may be the query's api_key", 101,
     &hr__listen_query__descriptor, NULL, NULL, 0, NULL},
    {NULL, NULL, ROLE_NONE, NULL, NULL, NULL, 0, NULL, NULL, NULL, 0, NULL},
};
// clang-format on

// Segment by segment; *id is set to what stands for {id}, or any other name in braces: the first.
static bool path_matches(const char *pattern, const char *path, size_t path_len, const char **id,
                         size_t *id_len)
{
    const char *end = path + path_len;

    *id = NULL;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            const char *slash = memchr(path, '/', (size_t)(end - path));
            size_t len = (size_t)((slash != NULL ? slash : end) - path);

            if (len == 0)
                return false;
            if (*id == NULL) {
                *id = path;
                *id_len = len;
            }
            path += len;
            pattern = strchr(pattern, '}') + 1;
        } else if (path < end && *pattern == *path) {
            pattern++;
            path++;
        } else {
            return false;
        }
    }
    return path == end;
}

static enum match find(const char *method, const char *path, size_t len, struct arena *arena,
                       const struct route **route, const char **packet_id)
{
    enum match result = MATCH_NONE;

    for (const struct route *row = routes; row->method != NULL; row++) {
        const char *id;
        size_t id_len;

        if (!path_matches(row->path, path, len, &id, &id_len))
            continue;
        if (strcmp(row->method, method) == 0) {
            *route = row;
            *packet_id = id != NULL ? arena_copy(arena, id, id_len) : NULL;
            return MATCH_ROUTE;
        }
        if (result == MATCH_NONE)
            *route = row;
        result = MATCH_METHOD;
    }
    return result;
}

enum match routes_find(const char *method, const char *path, struct arena *arena,
                       const struct route **route, const char **packet_id)
{
    size_t len = strlen(path);
    enum match result = find(method, path, len, arena, route, packet_id);

    if (result == MATCH_NONE && len > 1 && path[len - 1] == '/' &&
        find(method, path, len - 1, arena, route, packet_id) != MATCH_NONE)
        return MATCH_SLASH;
    return result;
}
