#include "broker/seal/seal.h"
#include "broker/seal/seal_wire.h"
#include "tests/unit/sealed.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct buf scratch;

static struct seal_row plain(void)
{
    struct seal_row row;

    sealed_fill(&row, 1, "acme", 0, 0);
    return row;
}

// The bytes that the header promises, put together by other means: if this has to be changed,
// nothing that was sealed before can be verified any more.
Test(seal, the_bytes_are_the_documented_ones)
{
    struct seal_row row = plain();
    uint8_t bytes[512] = "hr.audit.row.1";
    size_t len = 14;
    const int64_t numbers[] = {1, 0, 10, 0, 1, 1795176000000001LL, 1};
    const char *const texts[] = {"acme",  "created", "agent:a",
                                 "key-1", "{}",      "the bytes of a record"};
    uint8_t mac[SEAL_BYTES];

    for (size_t i = 0; i < 7; i++) {
        for (int shift = 56; shift >= 0; shift -= 8)
            bytes[len++] = (uint8_t)((uint64_t)numbers[i] >> shift);
    }
    memcpy(bytes + len, row.event_id.bytes, 16);
    memcpy(bytes + len + 16, row.packet_id.bytes, 16);
    len += 32;
    for (size_t i = 0; i < 6; i++) {
        memset(bytes + len, 0, 7);
        bytes[len + 7] = (uint8_t)strlen(texts[i]);
        memcpy(bytes + len + 8, texts[i], strlen(texts[i]));
        len += 8 + strlen(texts[i]);
    }
    memset(bytes + len, 0, 32); // nothing before
    len += 32;

    const struct piece piece = {bytes, len};
    cr_assert_eq(keyring_mac(sealed_ring(), 1, &piece, 1, mac), RC_OK);
    cr_assert_arr_eq(mac, row.mac, SEAL_BYTES);
}

static void assert_differs(const struct seal_row *changed, const char *what)
{
    const uint8_t none[SEAL_BYTES] = {0};
    struct seal_row row = plain();
    uint8_t mac[SEAL_BYTES];

    cr_assert_eq(seal_row_mac(mac, changed, none, sealed_ring(), &scratch), RC_OK);
    cr_assert(memcmp(mac, row.mac, SEAL_BYTES) != 0, "%s is not covered", what);
}

Test(seal, every_column_is_covered)
{
    struct seal_row row;

#define CHANGED(field, value)                                                                      \
    row = plain();                                                                                 \
    row.field = value;                                                                             \
    assert_differs(&row, #field)

    CHANGED(epoch, 2);
    CHANGED(shard, 1);
    CHANGED(seq, 11);
    CHANGED(part, 1);
    CHANGED(number, 2);
    CHANGED(at_us, 0);
    CHANGED(event_id.bytes[15], 9);
    CHANGED(packet_id.bytes[0], 9);
    CHANGED(tenant, text_of("acmf"));
    CHANGED(type, text_of("claimed"));
    CHANGED(actor, text_of("agent:b"));
    CHANGED(key_id, text_of("key-2"));
    CHANGED(details, text_of("{ }"));
    CHANGED(record, text_of("other bytes"));
    CHANGED(key, 2);
#undef CHANGED
}

Test(seal, a_byte_that_moves_from_one_text_to_the_next_is_noticed)
{
    struct seal_row row = plain();

    row.type = text_of("createda");
    row.actor = text_of("gent:a");
    assert_differs(&row, "the border between type and actor");
}

Test(seal, rows_and_heads_survive_the_way_through_messages)
{
    struct arena *arena = arena_create(4096);
    struct seal_row row = plain();
    struct seal_head head = sealed_head(&row);
    struct seal_row row_back;
    struct seal_head head_back;

    cr_assert_null(seal_row_of_wire(&row_back, arena, seal_row_to_wire(arena, &row)));
    cr_assert_eq(row_back.seq, row.seq);
    cr_assert_eq(row_back.at_us, row.at_us);
    cr_assert(text_equal(row_back.record, row.record));
    cr_assert_arr_eq(row_back.mac, row.mac, SEAL_BYTES);
    sealed_row(&row_back, NULL);
    cr_assert_arr_eq(row_back.mac, row.mac, SEAL_BYTES);
    cr_assert_null(seal_head_of_wire(&head_back, seal_head_to_wire(arena, &head)));
    cr_assert_arr_eq(head_back.signature, head.signature, SEAL_BYTES);
    cr_assert_eq(head_back.count, 1);
    arena_destroy(arena);
}

Test(seal, a_message_that_lacks_a_column_is_no_row)
{
    struct arena *arena = arena_create(4096);
    struct seal_row row = plain();
    Hr__AuditRow *message = seal_row_to_wire(arena, &row);

    message->has_details = 0;
    cr_assert_not_null(seal_row_of_wire(&row, arena, message));
    message->has_details = 1;
    message->mac = text_of("00");
    cr_assert_not_null(seal_row_of_wire(&row, arena, message));
    message->mac_key = 70000;
    cr_assert_not_null(seal_row_of_wire(&row, arena, message));
    arena_destroy(arena);
}

Test(seal, a_derived_id_is_always_the_same_and_never_the_first)
{
    struct uuid id = {
        {1, 2, 3}
    };
    struct uuid one = seal_derived_id(&id, "chained");
    struct uuid two = seal_derived_id(&id, "chained");
    struct uuid other = seal_derived_id(&id, "other");

    cr_assert_arr_eq(one.bytes, two.bytes, UUID_BYTES);
    cr_assert(memcmp(one.bytes, id.bytes, UUID_BYTES) != 0);
    cr_assert(memcmp(one.bytes, other.bytes, UUID_BYTES) != 0);
}
