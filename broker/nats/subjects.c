// Building and taking apart subjects.
#include "broker/nats/subjects.h"

#include "broker/base/digest.h"
#include "broker/base/id.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_PREFIX "hr.v1.cmd."
#define PACKET_PREFIX "hr.v1.packet."
#define INBOX_PREFIX "_INBOX."

unsigned subject_shard(const char *tenant, const char *packet_id)
{
    (void)tenant;
    (void)packet_id;
    return 0; // SHARD_COUNT is 1
}

void subject_stream(char stream[STREAM_BYTES], unsigned shard)
{
    (void)snprintf(stream, STREAM_BYTES, "HR_PACKETS_%u", shard);
}

void subject_packets(char subject[SUBJECT_BYTES], unsigned shard)
{
    (void)snprintf(subject, SUBJECT_BYTES, "hr.v1.packet.%u.*.*", shard);
}

void subject_packets_of(char subject[SUBJECT_BYTES], unsigned shard, const char *tenant)
{
    (void)snprintf(subject, SUBJECT_BYTES, "hr.v1.packet.%u.%s.*", shard, tenant);
}

void subject_packet(char subject[SUBJECT_BYTES], const char *tenant, const char *packet_id)
{
    int len = snprintf(subject, SUBJECT_BYTES, "hr.v1.packet.%u.%s.%s",
                       subject_shard(tenant, packet_id), tenant, packet_id);

    assert(len > 0 && len < SUBJECT_BYTES);
}

enum rc subject_parse_packet(struct packet_subject *parts, const char *subject)
{
    const size_t prefix = sizeof PACKET_PREFIX - 1;
    const char *tenant;
    const char *id;

    if (strncmp(subject, PACKET_PREFIX, prefix) != 0)
        return RC_INVALID;
    tenant = strchr(subject + prefix, '.'); // behind the shard
    id = tenant != NULL ? strchr(tenant + 1, '.') : NULL;
    if (id == NULL || id - tenant - 1 > TOKEN_MAX || strlen(id + 1) != UUID_TEXT_BYTES - 1)
        return RC_INVALID;
    memcpy(parts->tenant, tenant + 1, (size_t)(id - tenant - 1));
    parts->tenant[id - tenant - 1] = '\0';
    memcpy(parts->packet_id, id + 1, UUID_TEXT_BYTES);
    return RC_OK;
}

void subject_command(char subject[SUBJECT_BYTES], const char *tenant, const char *key,
                     const char *noun, const char *verb)
{
    int len =
        snprintf(subject, SUBJECT_BYTES, COMMAND_PREFIX "%s.%s.%s.%s", tenant, key, noun, verb);

    assert(len > 0 && len < SUBJECT_BYTES);
}

void subject_notice(char subject[SUBJECT_BYTES], const char *tenant)
{
    (void)snprintf(subject, SUBJECT_BYTES, "hr.v1.notice.%s", tenant);
}

void subject_inbox(char subject[SUBJECT_BYTES], const char *tenant, const char *agent)
{
    (void)snprintf(subject, SUBJECT_BYTES, "hr.v1.inbox.%s.%s", tenant, agent);
}

void subject_audit_head(char subject[SUBJECT_BYTES], const char *tenant)
{
    int len = snprintf(subject, SUBJECT_BYTES, "hr.v1.audit.head.%s", tenant);

    assert(len > 0 && len < SUBJECT_BYTES);
}

void subject_given(char subject[SUBJECT_BYTES], const char *tenant, const char *kind,
                   const char *idempotency_key)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];
    int len;

    digest_of(digest, idempotency_key, strlen(idempotency_key));
    hex_format(hex, digest, sizeof digest);
    len = snprintf(subject, SUBJECT_BYTES, "hr.v1.given.%s.%s%s", tenant, kind, hex);
    assert(len > 0 && len < SUBJECT_BYTES);
}

void subject_schema(char subject[SUBJECT_BYTES], const char *tenant, const char *schema_id)
{
    int len = snprintf(subject, SUBJECT_BYTES, "$KV." BUCKET_SCHEMAS ".%s.%s", tenant, schema_id);

    assert(len > 0 && len < SUBJECT_BYTES);
}

enum rc subject_parse_command(struct subject_parts *parts, const char *subject)
{
    const char **tokens[] = {&parts->tenant, &parts->key, &parts->noun, &parts->verb};
    const size_t prefix = sizeof COMMAND_PREFIX - 1;
    char *at;

    if (strlen(subject) >= sizeof parts->text || strncmp(subject, COMMAND_PREFIX, prefix) != 0)
        return RC_INVALID;
    memcpy(parts->text, subject, strlen(subject) + 1);
    at = parts->text + prefix;
    for (size_t i = 0; i < 4; i++) {
        char *dot = strchr(at, '.');

        if ((dot == NULL) != (i == 3))
            return RC_INVALID;
        if (dot != NULL)
            *dot = '\0';
        if (!token_is_safe(at, strlen(at)))
            return RC_INVALID;
        *tokens[i] = at;
        if (dot != NULL)
            at = dot + 1;
    }
    return RC_OK;
}

bool subject_reply_allowed(const char *reply, const char *key)
{
    const size_t prefix = sizeof INBOX_PREFIX - 1;
    size_t key_len = strlen(key);
    const char *rest;

    if (strncmp(reply, INBOX_PREFIX, prefix) != 0 || strncmp(reply + prefix, key, key_len) != 0 ||
        reply[prefix + key_len] != '.')
        return false;
    rest = reply + prefix + key_len + 1;
    return *rest != '\0' && *rest != '.' && rest[strlen(rest) - 1] != '.' &&
           strstr(rest, "..") == NULL && strpbrk(rest, "*> \t\r\n") == NULL;
}
