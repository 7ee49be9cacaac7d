// Content in canonical form.
#include "broker/seal/seal.h"

#define ROW_MARK "hr.audit.row.1"
#define HEAD_MARK "hr.audit.head.1"
#define HEAD_PURPOSE "head"

static void put_number(struct buf *out, int64_t value)
{
    uint8_t *bytes = buf_reserve(out, 8);

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * (7 - i)));
    out->len += 8;
}

static void put_text(struct buf *out, Text text)
{
    put_number(out, (int64_t)text.len);
    buf_append(out, text.data, text.len);
}

enum rc seal_row_mac(uint8_t mac[SEAL_BYTES], const struct seal_row *row,
                     const uint8_t previous[SEAL_BYTES], const struct keyring *ring,
                     struct buf *scratch)
{
    const int64_t numbers[] = {row->epoch,  row->shard, row->seq, row->part,
                               row->number, row->at_us, row->key};
    const Text texts[] = {row->tenant, row->type, row->actor, row->key_id, row->details};

    buf_reset(scratch);
    buf_puts(scratch, ROW_MARK);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_number(scratch, numbers[i]);
    buf_append(scratch, row->event_id.bytes, UUID_BYTES);
    buf_append(scratch, row->packet_id.bytes, UUID_BYTES);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        put_text(scratch, texts[i]);
    put_number(scratch, (int64_t)row->record.len);

    // The record is most of a row: it is not copied.
    const struct piece pieces[] = {
        {scratch->data,    scratch->len   },
        {row->record.data, row->record.len},
        {previous,         SEAL_BYTES     },
    };
    return keyring_mac(ring, row->key, pieces, 3, mac);
}

enum rc seal_head_signature(uint8_t signature[SEAL_BYTES], const struct seal_head *head,
                            const struct keyring *ring, struct buf *scratch)
{
    const int64_t numbers[] = {head->shard, head->count, head->epoch, head->seq,
                               head->part,  head->key,   head->at_us};

    buf_reset(scratch);
    buf_puts(scratch, HEAD_MARK);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_number(scratch, numbers[i]);
    put_text(scratch, head->tenant);
    buf_append(scratch, head->mac, SEAL_BYTES);

    const struct piece content = {scratch->data, scratch->len};
    return keyring_mac_for(ring, head->key, HEAD_PURPOSE, &content, 1, signature);
}

struct uuid seal_derived_id(const struct uuid *event_id, const char *type)
{
    const struct piece pieces[] = {
        {"audit.derived", sizeof "audit.derived" - 1},
        {event_id->bytes, UUID_BYTES                },
        {type,            strlen(type)              },
    };
    uint8_t digest[DIGEST_BYTES];

    digest_of_pieces(digest, pieces, 3);
    return uuid_from_digest(digest);
}
