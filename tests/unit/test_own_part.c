// The reference to an ancestor. Its digest is for ever: what was hashed by one version of the rail
// is compared by a later one.
#include "broker/packet/own_content.h"

#include "broker/base/digest.h"
#include "broker/message/json_write.h"
#include "broker/packet/carry.h"
#include "broker/packet/decide.h"
#include "tests/unit/messages.h"

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define EVENT "0190b5a2-7c3e-7def-8123-000000000001"

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(16 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(own_part, .init = set_up, .fini = tear_down);

static Hr__Packet *packet_with(const char *more)
{
    struct decision decision = {.arena = memory, .packet_id = ID, .now_us = 1795210145634694};

    cr_assert_eq(decide_create(&decision, message_of(memory, &hr__create_packet__descriptor,
                                                     create_body(memory, more))),
                 RC_OK);
    return decision.packet;
}

static const char *whole = ",\"decisions\":[{\"id\":\"d\",\"decision\":\"x\",\"rationale\":\"y\"}],"
                           "\"actions\":{\"pending\":[{\"id\":\"p\",\"description\":\"d\","
                           "\"assignee\":\"a\"}]},\"dependencies\":[{\"id\":\"e\",\"type\":\"api\","
                           "\"description\":\"d\"}]";

Test(own_part, its_json_is_what_it_always_was)
{
    const Hr__OwnPart *part = own_part_of(packet_with(whole), text_of(EVENT), memory);

    cr_assert_str_eq(
        json_text_of(memory, &part->base),
        "{\"packet_id\":\"" ID "\",\"event_id\":\"" EVENT "\","
        "\"context\":{\"summary\":\"x\",\"conversation_state\":[],\"artifacts\":[],\"custom\":{}},"
        "\"decisions\":[{\"id\":\"d\",\"decision\":\"x\",\"rationale\":\"y\",\"alternatives\":[],"
        "\"decided_by\":null,\"timestamp\":null}],"
        "\"actions\":{\"pending\":[{\"id\":\"p\",\"description\":\"d\",\"assignee\":\"a\","
        "\"priority\":null,\"depends_on\":[],\"deadline\":null}],\"completed\":[],\"failed\":[]},"
        "\"dependencies\":[{\"id\":\"e\",\"type\":\"api\",\"description\":\"d\","
        "\"status\":\"unknown\",\"source\":null}]}");
}

Test(own_part, a_reference_measures_that_json)
{
    const Hr__Packet *packet = packet_with(whole);
    const char *json = json_text_of(memory, &own_part_of(packet, text_of(EVENT), memory)->base);
    const Hr__AncestorRef *ref = own_part_ref(packet, 7, text_of(EVENT), memory);
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];

    digest_of(digest, json, strlen(json));
    hex_format(hex, digest, sizeof digest);
    ASSERT_TEXT(ref->packet_id, ID);
    ASSERT_TEXT(ref->event_id, EVENT);
    ASSERT_TEXT(ref->sha256, hex);
    cr_assert_eq(ref->sequence, 7);
    cr_assert_eq(ref->bytes, strlen(json));
    cr_assert_eq(ref->entries, 0);
    cr_assert_null(ref->carry);
}

Test(own_part, a_reference_says_what_its_packet_did_not_take_over)
{
    Hr__Packet *packet = packet_with("");
    Hr__Lineage lineage = HR__LINEAGE__INIT;

    packet->lineage = &lineage;
    lineage.carry = carry_names(CARRY_ALL, memory, &lineage.n_carry);
    cr_assert_null(own_part_ref(packet, 7, text_of(EVENT), memory)->carry);
    carry_drop(&lineage, CARRY_CONTEXT, memory);
    cr_assert_eq(own_part_ref(packet, 7, text_of(EVENT), memory)->carry->n_items, 3);
    carry_drop(&lineage, CARRY_ALL, memory);
    cr_assert_eq(own_part_ref(packet, 7, text_of(EVENT), memory)->carry->n_items, 0);
}

// A worker of an earlier version made the reference, and read past what it did not know.
Test(own_part, it_is_found_by_the_hash_of_a_version_that_did_not_know_all_of_it)
{
    Hr__Packet *packet = packet_with(whole);
    const char *json = json_text_of(memory, &own_part_of(packet, text_of(EVENT), memory)->base);
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];

    digest_of(digest, json, strlen(json));
    hex_format(hex, digest, sizeof digest);
    packet->context->extra = wire_json(memory, text_of("{\"a\":1}"));
    packet->decisions[0]->extra = packet->context->extra;
    cr_assert(own_part_is(own_part_of(packet, text_of(EVENT), memory), text_of(hex), memory));
    cr_assert(own_part_is(own_part_of(packet, text_of(EVENT), memory),
                          own_part_ref(packet, 7, text_of(EVENT), memory)->sha256, memory));
    packet->decisions[0]->decision = text_of("other");
    cr_assert_not(own_part_is(own_part_of(packet, text_of(EVENT), memory), text_of(hex), memory));
}
