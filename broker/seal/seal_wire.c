// Every field must be there: one that is missing would otherwise be read as an empty one, which may
// be the very thing that the hash covers.
#include "broker/seal/seal_wire.h"

static void put_text(protobuf_c_boolean *has, Text *field, Text value)
{
    *has = 1;
    *field = value;
}

static void put_number(protobuf_c_boolean *has, int64_t *field, int64_t value)
{
    *has = 1;
    *field = value;
}

static Text id_text(struct arena *arena, const struct uuid *id)
{
    char *text = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(text, id);
    return text_of(text);
}

static Text hex_text(struct arena *arena, const uint8_t bytes[SEAL_BYTES])
{
    char *text = arena_alloc(arena, DIGEST_HEX_BYTES);

    hex_format(text, bytes, SEAL_BYTES);
    return text_of(text);
}

static Text base64_text(struct arena *arena, Text bytes)
{
    char *text = arena_alloc(arena, 4 * ((bytes.len + 2) / 3) + 1);

    return (Text){base64_format(text, bytes.data, bytes.len), (uint8_t *)text};
}

Hr__AuditRow *seal_row_to_wire(struct arena *arena, const struct seal_row *row)
{
    static const uint8_t none[SEAL_BYTES];
    Hr__AuditRow *message = wire_new(arena, &hr__audit_row__descriptor);

    put_text(&message->has_tenant, &message->tenant, row->tenant);
    put_number(&message->has_shard, &message->shard, row->shard);
    put_number(&message->has_epoch, &message->epoch, row->epoch);
    put_number(&message->has_seq, &message->seq, row->seq);
    put_number(&message->has_part, &message->part, row->part);
    put_number(&message->has_number, &message->number, row->number);
    message->at = wire_timestamp(arena, row->at_us);
    put_text(&message->has_event_id, &message->event_id, id_text(arena, &row->event_id));
    put_text(&message->has_packet_id, &message->packet_id, id_text(arena, &row->packet_id));
    put_text(&message->has_type, &message->type, row->type);
    put_text(&message->has_actor, &message->actor, row->actor);
    put_text(&message->has_key_id, &message->key_id, row->key_id);
    put_text(&message->has_details, &message->details, row->details);
    put_text(&message->has_record, &message->record, base64_text(arena, row->record));
    put_number(&message->has_mac_key, &message->mac_key, row->key);
    put_text(&message->has_mac, &message->mac, hex_text(arena, row->number > 0 ? row->mac : none));
    return message;
}

Hr__AuditHead *seal_head_to_wire(struct arena *arena, const struct seal_head *head)
{
    Hr__AuditHead *message = wire_new(arena, &hr__audit_head__descriptor);

    put_text(&message->has_tenant, &message->tenant, head->tenant);
    put_number(&message->has_shard, &message->shard, head->shard);
    put_number(&message->has_count, &message->count, head->count);
    put_number(&message->has_epoch, &message->epoch, head->epoch);
    put_number(&message->has_seq, &message->seq, head->seq);
    put_number(&message->has_part, &message->part, head->part);
    put_text(&message->has_mac, &message->mac, hex_text(arena, head->mac));
    put_number(&message->has_key, &message->key, head->key);
    message->at = wire_timestamp(arena, head->at_us);
    put_text(&message->has_signature, &message->signature, hex_text(arena, head->signature));
    return message;
}

static bool parse_id(struct uuid *id, Text text)
{
    return uuid_parse((const char *)text.data, text.len, id) == NULL;
}

static bool parse_hex(uint8_t bytes[SEAL_BYTES], Text text)
{
    return hex_parse((const char *)text.data, text.len, bytes, SEAL_BYTES);
}

static bool is_key(int64_t number)
{
    return number >= 0 && number <= KEYRING_MAX_ID;
}

static bool parse_base64(Text *bytes, struct arena *arena, Text text)
{
    bytes->data = arena_alloc(arena, text.len);
    return base64_parse((const char *)text.data, text.len, bytes->data, &bytes->len);
}

static bool row_is_whole(const Hr__AuditRow *message)
{
    return message->has_tenant && message->has_shard && message->has_epoch && message->has_seq &&
           message->has_part && message->has_number && message->at != NULL &&
           message->has_event_id && message->has_packet_id && message->has_type &&
           message->has_actor && message->has_key_id && message->has_details &&
           message->has_record && message->has_mac_key && message->has_mac;
}

const char *seal_row_of_wire(struct seal_row *row, struct arena *arena, const Hr__AuditRow *message)
{
    if (!row_is_whole(message))
        return "a column is missing";
    *row = (struct seal_row){
        .tenant = message->tenant,
        .epoch = message->epoch,
        .shard = message->shard,
        .seq = message->seq,
        .part = message->part,
        .number = message->number,
        .at_us = wire_timestamp_us(message->at),
        .type = message->type,
        .actor = message->actor,
        .key_id = message->key_id,
        .details = message->details,
        .key = is_key(message->mac_key) ? (int)message->mac_key : 0,
    };
    if (!is_key(message->mac_key))
        return "mac_key is no number of a key";
    if (!parse_id(&row->event_id, message->event_id) ||
        !parse_id(&row->packet_id, message->packet_id))
        return "an id is no UUID";
    if (!parse_base64(&row->record, arena, message->record))
        return "record is not base64";
    if (!parse_hex(row->mac, message->mac))
        return "mac is not 64 hexadecimal digits";
    return NULL;
}

const char *seal_head_of_wire(struct seal_head *head, const Hr__AuditHead *message)
{
    if (!message->has_tenant || !message->has_shard || !message->has_count || !message->has_epoch ||
        !message->has_seq || !message->has_part || !message->has_mac || !message->has_key ||
        message->at == NULL || !message->has_signature)
        return "a field is missing";
    *head = (struct seal_head){
        .tenant = message->tenant,
        .shard = message->shard,
        .count = message->count,
        .epoch = message->epoch,
        .seq = message->seq,
        .part = message->part,
        .key = is_key(message->key) ? (int)message->key : 0,
        .at_us = wire_timestamp_us(message->at),
    };
    if (!is_key(message->key) || message->key == 0)
        return "key is no number of a key";
    if (!parse_hex(head->mac, message->mac) || !parse_hex(head->signature, message->signature))
        return "a hash is not 64 hexadecimal digits";
    return NULL;
}
