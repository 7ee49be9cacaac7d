// Every subject, stream, bucket and header name, once.
//
//   hr.v1.cmd.<tenant>.<key>.<noun>.<verb>          request/reply to the workers' queue groups
//   hr.v1.packet.<shard>.<tenant>.<packet_id>       stream HR_PACKETS_<shard>: the truth
//   hr.v1.event.<tenant>.<packet_id>                live copy of every record
//   hr.v1.delivery.<partition>.<tenant>.<hook>.<delivery>
//                                                   stream HR_DELIVERIES: what became of each
//   hr.v1.delivery.members                          workers that share the partitions say so here
//   hr.v1.given.<tenant>.<...>                      stream HR_GIVEN: what was answered under a key
//   hr.v1.audit.head.<tenant>                       stream HR_AUDIT_HEADS: how far the log has come
//   _INBOX.<key>.<...>                              replies; nothing else is answered to
#ifndef BROKER_NATS_SUBJECTS_H
#define BROKER_NATS_SUBJECTS_H

#include "broker/base/id.h"
#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUBJECT_BYTES 256 // longer than any of ours
#define STREAM_BYTES 32

#define SUBJECT_EVENTS "hr.v1.event.>"

#define BUCKET_KEYS "HR_KEYS"
#define STREAM_KEYS "KV_HR_KEYS"
#define SUBJECT_KEYS "$KV.HR_KEYS.>"
#define BUCKET_TENANTS "HR_TENANTS"
#define STREAM_TENANTS "KV_HR_TENANTS"
#define SUBJECT_TENANTS "$KV.HR_TENANTS.>"
#define BUCKET_SCHEMAS "HR_SCHEMAS"
#define STREAM_SCHEMAS "KV_HR_SCHEMAS"
#define SUBJECT_SCHEMAS "$KV.HR_SCHEMAS.>"

#define STREAM_HOOKS "KV_HR_HOOKS"
#define SUBJECT_HOOKS "$KV.HR_HOOKS.>"
#define PREFIX_HOOKS "$KV.HR_HOOKS."
#define STREAM_OWNERS "KV_HR_OWNERS"
#define SUBJECT_OWNERS "$KV.HR_OWNERS.>"
#define PREFIX_OWNERS "$KV.HR_OWNERS."

#define STREAM_DELIVERIES "HR_DELIVERIES"
#define SUBJECT_DELIVERIES "hr.v1.delivery.*.*.*.*"
#define SUBJECT_DELIVERY_MEMBERS "hr.v1.delivery.members"

#define STREAM_AUDIT_HEADS "HR_AUDIT_HEADS"
#define SUBJECT_AUDIT_HEADS "hr.v1.audit.head.*"

#define STREAM_GIVEN "HR_GIVEN"
#define SUBJECT_GIVEN "hr.v1.given.*.*"

// Headers of requests.
// A requester waits no more for an answer to claim-next; the payload is the reply subject of its
// request. Every claim worker hears it.
#define NOUN_PACKET "packet"
#define VERB_WITHDRAW "claim-next-withdraw"
#define SUBJECT_WITHDRAW "hr.v1.cmd.*.*." NOUN_PACKET "." VERB_WITHDRAW

#define HEADER_CONTENT_TYPE "Content-Type"
#define HEADER_IDEMPOTENCY_KEY "Idempotency-Key"
#define HEADER_IF_MATCH "HR-If-Match"
#define HEADER_MIN_SEQ "HR-Min-Seq"
#define HEADER_CLAIM "HR-Claim"
#define HEADER_TRANSCRIPT "HR-Transcript" // 2: entries of transcripts as they were sent
#define HEADER_DURABILITY "HR-Durability"
#define HEADER_TRACE "traceparent"
// Header of a record that was stored before, in an earlier life of the stream.
#define HEADER_RESTORED "HR-Restored"
// Headers of replies.
#define HEADER_SEQ "HR-Seq"
#define HEADER_STATUS "HR-Status" // 204: there is nothing to answer with
#define HEADER_PART "HR-Part"
#define HEADER_ERROR_CODE "Nats-Service-Error-Code"
#define HEADER_ERROR_TEXT "Nats-Service-Error"

#define TYPE_JSON "application/json"
#define TYPE_PROTOBUF "application/protobuf"

// Stands for all tenants in a command of the gateway's own. No key may belong to it.
#define TENANT_PLATFORM "platform"

// One deployment has a fixed number of shards; so far it is one, and every packet is in it.
#define SHARD_COUNT 1

unsigned subject_shard(const char *tenant, const char *packet_id);

void subject_stream(char stream[STREAM_BYTES], unsigned shard);

// What the stream of a shard holds: hr.v1.packet.<shard>.*.*
void subject_packets(char subject[SUBJECT_BYTES], unsigned shard);

// The same of one tenant, which is a safe token.
void subject_packets_of(char subject[SUBJECT_BYTES], unsigned shard, const char *tenant);

// tenant: a safe token; packet_id: a UUID in lower case.
void subject_packet(char subject[SUBJECT_BYTES], const char *tenant, const char *packet_id);

struct packet_subject {
    char tenant[TOKEN_MAX + 1];
    char packet_id[UUID_TEXT_BYTES];
};

// RC_INVALID: not the subject of a packet.
enum rc subject_parse_packet(struct packet_subject *parts, const char *subject) MUST_CHECK;

// tenant, key: safe tokens.
void subject_command(char subject[SUBJECT_BYTES], const char *tenant, const char *key,
                     const char *noun, const char *verb);

// tenant: a safe token.
void subject_notice(char subject[SUBJECT_BYTES], const char *tenant);

// tenant, agent: safe tokens.
void subject_inbox(char subject[SUBJECT_BYTES], const char *tenant, const char *agent);

// tenant: a safe token.
void subject_audit_head(char subject[SUBJECT_BYTES], const char *tenant);

// What is remembered of the commands under an Idempotency-Key: GIVEN_CHOICE is what one of them
// chose, GIVEN_ANSWER how one was answered. tenant: a safe token.
#define GIVEN_CHOICE ""
#define GIVEN_ANSWER "answer-"
void subject_given(char subject[SUBJECT_BYTES], const char *tenant, const char *kind,
                   const char *idempotency_key);

// tenant: a safe token; schema_id: a UUID in lower case.
void subject_schema(char subject[SUBJECT_BYTES], const char *tenant, const char *schema_id);

// The parts of a command subject. They point into a copy in parts->text.
struct subject_parts {
    char text[SUBJECT_BYTES];
    const char *tenant;
    const char *key;
    const char *noun;
    const char *verb;
};

// RC_INVALID: not a command subject, or a tenant or key that is no safe token.
enum rc subject_parse_command(struct subject_parts *parts, const char *subject) MUST_CHECK;

// True when reply lies in the inbox of key: "_INBOX.<key>." and at least one more token, no
// wildcards, no empty token. A reply subject is not checked by the NATS server, so a worker that
// answered anywhere else could be made to write into a stream or to delete one.
bool subject_reply_allowed(const char *reply, const char *key);

#endif
