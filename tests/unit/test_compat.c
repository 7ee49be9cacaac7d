// Old bytes and new code, new bytes and old code. The bytes in data/ were written once and are
// never changed: record_v1.hex by the first version of the contract, with every field set;
// record_future.hex by one that has a field 1000, "new <member>", in every message.
#include "broker/message/check.h"
#include "broker/message/json_write.h"
#include "broker/packet/decide.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795220000000000

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(64 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(compat, .init = set_up, .fini = tear_down);

static Text file_contents(const char *name)
{
    FILE *file = fopen(arena_printf(memory, TEST_DATA "/%s", name), "r");
    char *text = arena_alloc(memory, 16 * 1024);
    size_t len;

    cr_assert_not_null(file, "%s", name);
    len = fread(text, 1, 16 * 1024, file);
    cr_assert_lt(len, 16 * 1024);
    (void)fclose(file);
    return (Text){len, (uint8_t *)text};
}

static Text bytes_of(const char *name)
{
    Text hex = file_contents(name);
    Text bytes = {0, arena_alloc(memory, hex.len / 2)};
    char pair[3] = "";
    size_t have = 0;

    for (size_t i = 0; i < hex.len; i++) {
        if (!isxdigit(hex.data[i]))
            continue;
        pair[have++] = (char)hex.data[i];
        if (have == 2) {
            bytes.data[bytes.len++] = (uint8_t)strtol(pair, NULL, 16);
            have = 0;
        }
    }
    return bytes;
}

static Hr__PacketRecord *record_of(Text bytes)
{
    ProtobufCMessage *message;

    cr_assert_eq(
        wire_unpack(&message, memory, &hr__packet_record__descriptor, bytes.data, bytes.len),
        RC_OK);
    return (Hr__PacketRecord *)message;
}

static bool contains(Text bytes, const char *needle)
{
    size_t len = strlen(needle);

    for (size_t i = 0; i + len <= bytes.len; i++) {
        if (memcmp(bytes.data + i, needle, len) == 0)
            return true;
    }
    return false;
}

Test(compat, reads_every_field_of_version_1)
{
    Hr__PacketRecord *record = record_of(bytes_of("record_v1.hex"));
    Text expected = file_contents("record_v1.json");

    message_complete(&record->packet->base, memory);
    cr_assert_str_eq(arena_printf(memory, "{\"event\":%s,\n\"packet\":%s}\n",
                                  json_text_of(memory, &record->event->base),
                                  json_text_of(memory, &record->packet->base)),
                     arena_copy(memory, expected.data, expected.len));
    cr_assert_eq(record->n_recent, 2);
    ASSERT_TEXT(record->recent[0]->event_id, "0123456789abcdef");
    cr_assert_eq(record->recent[1]->sequence, 8);
    ASSERT_TEXT(record->recent[1]->key_digest, "KKKKKKKKKKKKKKKK");
    ASSERT_TEXT(record->recent[1]->request_digest, "RRRRRRRRRRRRRRRR");
}

Test(compat, writes_version_1_to_the_byte)
{
    Text bytes = bytes_of("record_v1.hex");
    Text again = wire_pack(memory, &record_of(bytes)->base);

    cr_assert(text_equal(again, bytes));
}

Test(compat, takes_an_old_record_without_the_fields_that_came_later)
{
    // id, metadata with an empty source and target, context, status.
    static const char bytes[] = "\x12\x0d\x0a\x01\x78\x22\x04\x0a\x00\x12\x00\x2a\x00\x50\x01";
    Hr__PacketRecord *record = record_of((Text){sizeof bytes - 1, (uint8_t *)bytes});

    message_complete(&record->packet->base, memory);
    cr_assert_eq(record->packet->metadata->priority, HR__PRIORITY__PRIORITY_NORMAL);
    ASSERT_TEXT(record->packet->context->custom->text, "{}");
    cr_assert_not_null(record->packet->actions);
    cr_assert_not_null(strstr(json_text_of(memory, &record->packet->base),
                              "\"metadata\":{\"source_agent\":{\"id\":\"\","));
}

// --- records of a newer program ------------------------------------------------------------------

static struct decision decision_on(Hr__PacketRecord *record)
{
    return (struct decision){
        .arena = memory, .packet_id = "p", .now_us = NOW, .packet = record->packet};
}

static void assert_kept(const Hr__PacketRecord *record, const char *const *names, size_t count)
{
    Text bytes = wire_pack(memory, &record->base);
    Hr__PacketRecord *again = record_of(bytes);

    for (size_t i = 0; i < count; i++)
        cr_expect(contains(bytes, arena_printf(memory, "new %s", names[i])), "%s", names[i]);
    cr_assert(contains(wire_pack(memory, &again->base), "new packet"));
}

Test(compat, keeps_what_a_newer_program_wrote_when_it_changes_a_packet)
{
    static const char *const all[] = {"packet",
                                      "metadata",
                                      "source_agent",
                                      "target_agent",
                                      "addressed_to",
                                      "context",
                                      "conversation_state",
                                      "artifacts",
                                      "decisions",
                                      "actions",
                                      "pending",
                                      "completed",
                                      "failed",
                                      "dependencies",
                                      "hitl",
                                      "options",
                                      "recent"};
    Hr__PacketRecord *record = record_of(bytes_of("record_future.hex"));
    struct decision decision = decision_on(record);

    message_complete(&record->packet->base, memory);
    cr_assert_eq(decide_update(&decision, message_of(memory, &hr__update_packet__descriptor,
                                                     "{\"status\":\"completed\"}")),
                 RC_OK);
    cr_assert_eq(record->packet->status, HR__STATUS__STATUS_COMPLETED);
    assert_kept(record, all, sizeof all / sizeof all[0]);
}

Test(compat, keeps_a_newer_claim_for_as_long_as_it_lasts)
{
    static const char *const names[] = {"claim", "holder"};
    Hr__PacketRecord *record = record_of(bytes_of("record_future.hex"));
    struct decision decision = decision_on(record);

    cr_assert_eq(decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, "{}")),
                 RC_OK);
    assert_kept(record, names, 2);
}

Test(compat, keeps_what_is_around_the_part_that_is_replaced)
{
    static const char *const names[] = {"packet", "actions", "completed", "failed", "context"};
    const char *json = "{\"actions\":{\"pending\":[]},\"decisions\":[{\"id\":\"e\",\"decision\":"
                       "\"d\",\"rationale\":\"\"}]}";
    Hr__PacketRecord *record = record_of(bytes_of("record_future.hex"));
    struct decision decision = decision_on(record);

    cr_assert_eq(decide_update(&decision, message_of(memory, &hr__update_packet__descriptor, json)),
                 RC_OK);
    assert_kept(record, names, sizeof names / sizeof names[0]);
    cr_assert(contains(wire_pack(memory, &record->base), "new decisions"));
    cr_assert_not(contains(wire_pack(memory, &record->base), "new pending"));
}

Test(compat, keeps_names_it_does_not_know)
{
    Hr__PacketRecord *record = record_of(bytes_of("record_future.hex"));
    Hr__PacketRecord *again;

    message_complete(&record->packet->base, memory);
    cr_assert_not_null(
        strstr(json_text_of(memory, &record->packet->base), "\"priority\":\"unknown_9\""));
    again = record_of(wire_pack(memory, &record->base));
    cr_assert_eq((int)again->packet->metadata->priority, 9);
}
