// Every command of the rail: the one place where a verb is named.
//
// Workers, the gateway's routes, the API document, docs/nats.md and the check of roles read this
// table. A new command is a row here, its messages in proto/, a handler in its worker, and a route
// if it has one.
#ifndef BROKER_MESSAGE_COMMAND_TABLE_H
#define BROKER_MESSAGE_COMMAND_TABLE_H

#include "broker/message/role.h"
#include "broker/message/wire.h"

// What else there is to a command.
enum {
    COMMAND_CHANGES = 1 << 0, // changes packets: its answer's sequence orders it with reads
    COMMAND_FENCED = 1 << 1,  // about one packet that is there: takes If-Match and a claim
    COMMAND_READS = 1 << 2,   // answered from Postgres: takes the sequence it must have reached
    COMMAND_EMPTY = 1 << 3,   // may be answered with nothing
    COMMAND_SLOW = 1 << 4,    // sends over HTTP, or moves many things, before it answers
    COMMAND_PAGES = 1 << 5,   // its pages are one stream over HTTP
};

// clang-format off
//  id              worker   noun    verb             request           reply            role    flags
#define COMMAND_TABLE(X)                                                                                    \
    X(CREATE,         packet,  packet, "create",         create_packet,    packet,          WRITER, COMMAND_CHANGES) \
    X(GET,            packet,  packet, "get",            packet_ref,       packet,          READER, 0)               \
    X(UPDATE,         packet,  packet, "update",         update_packet,    packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(DELETE,         packet,  packet, "delete",         packet_ref,       packet,          WRITER, COMMAND_CHANGES | COMMAND_FENCED) \
    X(BATCH_CREATE,   packet,  packet, "batch-create",   batch_create,     batch_created,   WRITER, COMMAND_CHANGES) \
    X(BATCH_COMPLETE, packet,  packet, "batch-complete", batch_complete,   batch_completed, WRITER, COMMAND_CHANGES) \
    X(FOLLOW,         packet,  packet, "follow",         follow_packets,   following,       READER, 0)               \
    X(CLAIM,          claim,   packet, "claim",          claim_packet,     packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(CLAIM_NEXT,     claim,   packet, "claim-next",     claim_next,       packet,          AGENT,  COMMAND_CHANGES | COMMAND_EMPTY) \
    X(HEARTBEAT,      claim,   packet, "heartbeat",      heartbeat_claim,  packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(RELEASE,        claim,   packet, "release",        release_claim,    packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(DECLINE,        claim,   packet, "decline",        decline_packet,   packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(REASSIGN,       claim,   packet, "reassign",       reassign_packet,  packet,          WRITER, COMMAND_CHANGES | COMMAND_FENCED) \
    X(BATCH_CLAIM,    claim,   packet, "batch-claim",    batch_claim,      batch_claimed,   AGENT,  COMMAND_CHANGES) \
    X(RESPOND,        hitl,    packet, "respond",        respond_packet,   packet,          AGENT,  COMMAND_CHANGES | COMMAND_FENCED) \
    X(BATCH_RESPOND,  hitl,    packet, "batch-respond",  batch_respond,    batch_responded, AGENT,  COMMAND_CHANGES) \
    X(CHAIN,          chain,   packet, "chain",          chain_packet,     packet,          WRITER, COMMAND_CHANGES | COMMAND_FENCED) \
    X(CONTEXT,        chain,   packet, "context",        get_context,      own_part,        READER, 0)               \
    X(TREE,           query,   packet, "tree",           get_tree,         chain_tree,      READER, COMMAND_READS)   \
    X(VERSION,        query,   packet, "version",        get_version,      packet,          READER, COMMAND_READS)   \
    X(LIST,           query,   packet, "list",           list_packets,     packet_page,     READER, COMMAND_READS)   \
    X(SEARCH,         query,   packet, "search",         search_packets,   packet_page,     READER, COMMAND_READS)   \
    X(AWAITING,       query,   packet, "awaiting",       list_awaiting,    packet_page,     READER, COMMAND_READS)   \
    X(HISTORY,        query,   packet, "history",        get_history,      history,         READER, COMMAND_READS)   \
    X(HOOK_CREATE,    webhook, hook,   "create",         create_hook,      hook_view,       WRITER, 0)               \
    X(HOOK_LIST,      webhook, hook,   "list",           empty,            hook_list,       WRITER, 0)               \
    X(HOOK_GET,       webhook, hook,   "get",            hook_ref,         hook_view,       WRITER, 0)               \
    X(HOOK_UPDATE,    webhook, hook,   "update",         update_hook,      hook_view,       WRITER, 0)               \
    X(HOOK_DELETE,    webhook, hook,   "delete",         hook_ref,         hook_view,       WRITER, 0)               \
    X(HOOK_ROTATE,    webhook, hook,   "rotate",         rotate_hook,      hook_view,       WRITER, 0)               \
    X(HOOK_TEST,      webhook, hook,   "test",           hook_ref,         tested_hook,     WRITER, COMMAND_SLOW)    \
    X(HOOK_REPLAY,    webhook, hook,   "replay",         replay_delivery,  replayed,        WRITER, COMMAND_SLOW)    \
    X(HOOK_RETRY_ALL, webhook, hook,   "retry-all",      empty,            retried_all,     ADMIN,  COMMAND_SLOW)    \
    X(HOOK_RECOVER,   webhook, hook,   "recover",        recover_hook,     recovered,       WRITER, COMMAND_SLOW)    \
    X(DELIVERIES,     query,   hook,   "deliveries",     list_deliveries,  delivery_list,   WRITER, 0)               \
    X(DELIVERY,       query,   hook,   "delivery",       get_delivery,     delivery_detail, WRITER, 0)               \
    X(DLQ,            query,   hook,   "dlq",            list_dlq,         dlq_list,        WRITER, 0)               \
    X(SCHEMA_CREATE,  schema,  schema, "create",         create_schema,    schema,          WRITER, 0)               \
    X(SCHEMA_GET,     schema,  schema, "get",            get_schema,       schema,          WRITER, 0)               \
    X(SCHEMA_LIST,    schema,  schema, "list",           list_schemas,     schema_page,     WRITER, 0)               \
    X(SCHEMA_CHECK,   schema,  schema, "check",          check_context,    schema_verdict,  AGENT,  0)               \
    X(STATS,          query,   stats,  "get",            empty,            stats,           READER, COMMAND_READS)   \
    X(SYSTEM_HEALTH,  query,   system, "health",         empty,            system_health,   ADMIN,  COMMAND_READS)   \
    X(SYSTEM_TOTALS,  query,   system, "totals",         empty,            totals,          ADMIN,  0)               \
    X(AUDIT_LIST,     query,   audit,  "list",           list_audit,       audit_page,      READER, COMMAND_READS)   \
    X(AUDIT_EXPORT,   query,   audit,  "export",         export_audit,     audit_rows,      READER, COMMAND_READS | COMMAND_PAGES)   \
    X(AUDIT_WAIT,     query,   audit,  "wait",           empty,            empty,           READER, COMMAND_READS)

// Commands that are one decision about one packet and nothing else: no handler is written for them.
#define DECIDED_COMMANDS(X) \
    X(UPDATE,   update)     \
    X(DELETE,   delete)     \
    X(CLAIM,    claim)      \
    X(DECLINE,  decline)    \
    X(REASSIGN, reassign)

#define API_PACKETS "/api/v1/packets"
#define API_HOOKS "/api/v1/hooks"
#define API_SCHEMAS "/api/v1/schemas"

// How a command is reached over HTTP. What stands in braces is a field of its request; of two rows that
// fit a path the first counts.
//  id              method    path                                                        status operation         summary
#define COMMAND_ROUTES(X) \
    X(LIST,           "GET",    API_PACKETS,                                               200, "listPackets",         "List packets, newest first") \
    X(CREATE,         "POST",   API_PACKETS,                                               201, "createPacket",        "Create a packet") \
    X(CLAIM_NEXT,     "POST",   API_PACKETS "/claim-next",                                 200, "claimNext",           "Claim the best packet for an agent, waiting for one if asked to") \
    X(BATCH_CREATE,   "POST",   API_PACKETS "/batch",                                      201, "createPackets",       "Create many packets, each on its own") \
    X(BATCH_CLAIM,    "POST",   API_PACKETS "/batch/claim",                                200, "claimPackets",        "Claim many packets, each on its own") \
    X(BATCH_COMPLETE, "POST",   API_PACKETS "/batch/complete",                             200, "completePackets",     "Complete many packets, each on its own") \
    X(BATCH_RESPOND,  "POST",   API_PACKETS "/batch/respond",                              200, "respondPackets",      "Answer many checkpoints, each on its own") \
    X(SEARCH,         "GET",    API_PACKETS "/search",                                     200, "searchPackets",       "Full-text search, best match first") \
    X(AWAITING,       "GET",    API_PACKETS "/awaiting",                                   200, "listAwaiting",        "Packets that wait for a human, nearest deadline first") \
    X(GET,            "GET",    API_PACKETS "/{packet_id}",                                200, "getPacket",           "Read a packet") \
    X(UPDATE,         "PATCH",  API_PACKETS "/{packet_id}",                                200, "updatePacket",        "Change a packet") \
    X(DELETE,         "DELETE", API_PACKETS "/{packet_id}",                                204, "deletePacket",        "Delete a packet: it becomes expired and stays readable") \
    X(CLAIM,          "POST",   API_PACKETS "/{packet_id}/claim",                          200, "claimPacket",         "Claim a packet; exactly one claimer wins") \
    X(HEARTBEAT,      "POST",   API_PACKETS "/{packet_id}/heartbeat",                      200, "heartbeatClaim",      "Renew the lease of a claim") \
    X(RELEASE,        "POST",   API_PACKETS "/{packet_id}/release",                        200, "releaseClaim",        "Release a claim") \
    X(DECLINE,        "POST",   API_PACKETS "/{packet_id}/decline",                        200, "declinePacket",       "Decline a packet; it is not offered to this agent again") \
    X(REASSIGN,       "POST",   API_PACKETS "/{packet_id}/reassign",                       200, "reassignPacket",      "Reassign a packet to another agent; a claim ends") \
    X(RESPOND,        "POST",   API_PACKETS "/{packet_id}/respond",                        200, "respondPacket",       "Answer the checkpoint a packet waits at") \
    X(HISTORY,        "GET",    API_PACKETS "/{packet_id}/history",                        200, "getPacketHistory",    "What happened to a packet, oldest first") \
    X(CHAIN,          "POST",   API_PACKETS "/{packet_id}/chain",                          201, "chainPacket",         "Create a follow-up packet that takes over the context") \
    X(TREE,           "GET",    API_PACKETS "/{packet_id}/chain",                          200, "getPacketChain",      "The whole tree of a packet's ancestors and descendants") \
    X(CONTEXT,        "GET",    API_PACKETS "/{packet_id}/context",                        200, "getPacketContext",    "What one ancestor holds itself, as the packet took it over") \
    X(HOOK_CREATE,    "POST",   API_HOOKS,                                                 201, "createHook",          "Register a webhook") \
    X(HOOK_LIST,      "GET",    API_HOOKS,                                                 200, "listHooks",           "List webhooks, inactive ones included, oldest first") \
    X(DLQ,            "GET",    API_HOOKS "/dlq",                                          200, "listDeadLetters",     "List dead letters, newest first") \
    X(HOOK_RETRY_ALL, "POST",   API_HOOKS "/dlq/retry-all",                                200, "retryDeadLetters",    "Send up to 100 dead letters again, now") \
    X(HOOK_REPLAY,    "POST",   API_HOOKS "/dlq/{delivery_id}/replay",                     200, "replayDelivery",      "Send a dead letter again, now") \
    X(HOOK_GET,       "GET",    API_HOOKS "/{hook_id}",                                    200, "getHook",             "Read a webhook") \
    X(HOOK_UPDATE,    "PATCH",  API_HOOKS "/{hook_id}",                                    200, "updateHook",          "Change a webhook's URL, events and filters, or make it active or inactive") \
    X(HOOK_DELETE,    "DELETE", API_HOOKS "/{hook_id}",                                    204, "deleteHook",          "Deactivate a webhook; it stays listed") \
    X(HOOK_TEST,      "POST",   API_HOOKS "/{hook_id}/test",                               200, "testHook",            "Send a test event, now") \
    X(HOOK_ROTATE,    "POST",   API_HOOKS "/{hook_id}/rotate-secret",                      200, "rotateHookSecret",    "Sign with a new secret; the old one signs as well for a day") \
    X(HOOK_RECOVER,   "POST",   API_HOOKS "/{hook_id}/recover",                            200, "recoverHook",         "Send again what failed since a point in time") \
    X(DELIVERIES,     "GET",    API_HOOKS "/{hook_id}/deliveries",                         200, "listDeliveries",      "Deliveries of a webhook, newest first") \
    X(DELIVERY,       "GET",    API_HOOKS "/{hook_id}/deliveries/{delivery_id}",           200, "getDelivery",         "One delivery with its request and the answer to it") \
    X(SCHEMA_LIST,    "GET",    API_SCHEMAS,                                               200, "listSchemas",         "List JSON Schemas, newest first") \
    X(SCHEMA_CREATE,  "POST",   API_SCHEMAS,                                               201, "createSchema",        "Register a JSON Schema for the contexts of packets") \
    X(SCHEMA_GET,     "GET",    API_SCHEMAS "/{schema_id}",                                200, "getSchema",           "Read a JSON Schema") \
    X(AUDIT_LIST,     "GET",    "/api/v1/audit",                                           200, "listAudit",           "List the audit log, newest first") \
    X(AUDIT_EXPORT,   "GET",    "/api/v1/audit/export",                                    200, "exportAudit",         "Stream the audit log, or what the filters leave, as NDJSON or CSV, oldest first") \
    X(STATS,          "GET",    "/api/v1/stats",                                           200, "getStats",            "Tenant statistics") \
    X(SYSTEM_HEALTH,  "GET",    "/api/v1/system/health",                                   200, "getSystemHealth",     "Rail statistics; of the tenant alone for a key that is not the platform's")
// clang-format on

enum command_id {
    CMD_NONE, // a route that is no command
#define X(id, worker, noun, verb, request, reply, role, flags) CMD_##id,
    COMMAND_TABLE(X)
#undef X
        CMD_COUNT
};

struct command_row {
    const char *worker; // its queue group
    const char *noun;
    const char *verb;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    enum role role; // the least that may send it
    unsigned flags;
};

// id: not CMD_NONE.
const struct command_row *command_row(enum command_id id);

// How many commands a worker answers.
size_t command_count_of(const char *worker);

#endif
