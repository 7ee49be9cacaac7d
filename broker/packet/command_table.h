// Every command of the rail: the one place where a verb is named.
//
// Workers, the gateway's routes, the API document, docs/nats.md and the check of roles read this
// table. A new command is a row here, its messages in proto/, a handler in its worker, and a route
// if it has one.
#ifndef BROKER_PACKET_COMMAND_TABLE_H
#define BROKER_PACKET_COMMAND_TABLE_H

#include "broker/packet/role.h"
#include "broker/packet/wire.h"

// What else there is to a command.
enum {
    COMMAND_CHANGES = 1 << 0, // changes packets: its answer's sequence orders it with reads
    COMMAND_FENCED =
        1 << 1, // about one packet that is there: takes If-Match and a claim's generation
    COMMAND_READS = 1 << 2, // answered from Postgres: takes the sequence it must have reached
    COMMAND_EMPTY = 1 << 3, // may be answered with nothing
    COMMAND_SLOW = 1 << 4,  // sends over HTTP, or moves many things, before it answers
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
    X(AUDIT_EXPORT,   query,   audit,  "export",         export_audit,     audit_rows,      READER, COMMAND_READS)   \
    X(AUDIT_WAIT,     query,   audit,  "wait",           empty,            empty,           READER, COMMAND_READS)
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
