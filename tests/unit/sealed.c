#include "tests/unit/sealed.h"

#include <criterion/criterion.h>

static struct buf scratch;

const struct keyring *sealed_ring(void)
{
    static struct keyring *ring;

    if (ring == NULL)
        cr_assert_eq(keyring_parse(&ring, SEALED_KEYS, strlen(SEALED_KEYS), "test"), RC_OK);
    return ring;
}

void sealed_row(struct seal_row *row, const struct seal_row *before)
{
    static const uint8_t none[SEAL_BYTES];

    cr_assert_eq(
        seal_row_mac(row->mac, row, before != NULL ? before->mac : none, sealed_ring(), &scratch),
        RC_OK);
}

void sealed_fill(struct seal_row *rows, size_t count, const char *tenant, size_t epoch_at,
                 size_t key_at)
{
    for (size_t i = 0; i < count; i++) {
        size_t number = i + 1;
        bool is_later = epoch_at > 0 && number >= epoch_at;
        bool is_derived = number == 5;

        rows[i] = (struct seal_row){
            .tenant = text_of(tenant),
            .epoch = is_later ? 2 : 1,
            .seq = (int64_t)(10 * (is_later ? number - epoch_at + 1 : number)),
            .number = (int64_t)number,
            .at_us = 1795176000000000LL + (int64_t)number,
            .type = text_of(is_derived ? "chained" : "created"),
            .actor = text_of("agent:a"),
            .key_id = text_of("key-1"),
            .details = text_of("{}"),
            .record = text_of(is_derived ? "" : "the bytes of a record"),
            .key = key_at > 0 && number >= key_at ? 2 : 1,
        };
        rows[i].event_id.bytes[0] = (uint8_t)number;
        if (is_derived) {
            rows[i].seq = rows[i - 1].seq;
            rows[i].part = 1;
        }
        sealed_row(&rows[i], i > 0 ? &rows[i - 1] : NULL);
    }
}

struct seal_head sealed_head(const struct seal_row *row)
{
    struct seal_head head = {
        .tenant = row->tenant,
        .shard = row->shard,
        .count = row->number,
        .epoch = row->epoch,
        .seq = row->seq,
        .part = row->part,
        .key = 2,
        .at_us = row->at_us + 5,
    };

    memcpy(head.mac, row->mac, SEAL_BYTES);
    cr_assert_eq(seal_head_signature(head.signature, &head, sealed_ring(), &scratch), RC_OK);
    return head;
}
