// The beginning of a packet: whatever is there whole is read, and nothing else.
#include "workers/query/tree_row.h"

#include "broker/packet/decide.h"
#include "broker/packet/lifecycle.h"
#include "tests/unit/messages.h"

#include <stdlib.h>

#define NOW 1795210145634694

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(64 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(tree_row, .init = set_up, .fini = tear_down);

static Text packed(const char *more)
{
    struct decision decision = {
        .arena = memory, .packet_id = "0190b5a2-7c3e-7def-8123-456789abcdef", .now_us = NOW};

    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     create_body(memory, more))),
                 RC_OK);
    cr_assert_eq(lifecycle_step(decision.packet, MOVE_CLAIM, NOW + 1, memory), RC_OK);
    cr_assert_eq(lifecycle_step(decision.packet, MOVE_COMPLETE, NOW + 2, memory), RC_OK);
    return wire_pack(memory, &decision.packet->base);
}

Test(tree_row, a_whole_packet_is_its_own_beginning)
{
    Text bytes = packed("");
    const Hr__Metadata *metadata = tree_row_metadata(memory, bytes.data, bytes.len);

    cr_assert_not_null(metadata);
    cr_assert_eq(wire_timestamp_us(metadata->claimed_at), NOW + 1);
    cr_assert_eq(wire_timestamp_us(metadata->completed_at), NOW + 2);
    cr_assert_gt(metadata->source_agent->id.len, 0);
}

// However it is cut: what is read is right, and grows.
Test(tree_row, every_beginning_can_be_read)
{
    Text bytes = packed(",\"decisions\":[{\"id\":\"d\",\"decision\":\"x\",\"rationale\":\"y\"}]");
    size_t fields = 0;

    for (size_t len = 0; len <= bytes.len; len++) {
        // A copy of its own, so that a sanitizer sees what is read beyond it.
        void *part = malloc(len > 0 ? len : 1);
        const Hr__Metadata *metadata;
        size_t now;

        cr_assert_not_null(part);
        memcpy(part, bytes.data, len);
        metadata = tree_row_metadata(memory, part, len);
        free(part);
        if (metadata == NULL)
            continue;
        now = (size_t)((metadata->source_agent != NULL) + (metadata->target_agent != NULL) +
                       (metadata->claimed_at != NULL) + (metadata->completed_at != NULL));
        cr_assert_geq(now, fields);
        fields = now;
        if (metadata->completed_at != NULL)
            cr_assert_eq(wire_timestamp_us(metadata->completed_at), NOW + 2);
    }
    cr_assert_eq(fields, 4);
}

Test(tree_row, what_is_no_packet_has_no_row)
{
    static const uint8_t bad[][12] = {
        {0    },
        {     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        { 0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x0a, 0x01},
        { 0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
        { 0x0b, 0x0c},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const Hr__Metadata *metadata = tree_row_metadata(memory, bad[i], sizeof bad[i]);

        cr_assert(metadata == NULL || metadata->source_agent == NULL);
    }
    cr_assert_null(tree_row_metadata(memory, bad[0], 0));
}
