#include "broker/message/json_write.h"

#include "broker/message/json_read.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(json_write, .init = set_up, .fini = tear_down);

Test(json_write, writes_every_kind_of_value_compactly)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_object_open(writer);
    json_key(writer, "a");
    json_array_open(writer);
    json_integer(writer, INT64_MIN);
    json_bool(writer, true);
    json_bool(writer, false);
    json_null(writer);
    json_raw(writer, "{ 1.10 }", 8);
    json_text(writer, (Text){0, NULL});
    json_array_close(writer);
    json_key(writer, "b");
    json_object_open(writer);
    json_object_close(writer);
    json_object_close(writer);
    json_writer_destroy(writer);
    cr_assert_str_eq(buf_text(&out),
                     "{\"a\":[-9223372036854775808,true,false,null,{ 1.10 },\"\"],\"b\":{}}");
    buf_fini(&out);
    json_writer_destroy(NULL);
}

Test(json_write, escapes_only_what_json_asks_for)
{
    char all[128];

    ASSERT_TEXT(json_of_string(memory, "caf\xc3\xa9 \xf0\x9f\x98\x80 </script>"),
                "\"caf\xc3\xa9 \xf0\x9f\x98\x80 </script>\"");
    ASSERT_TEXT(json_of_string(memory, "\"\\\n\t\x01"), "\"\\\"\\\\\\n\\t\\u0001\"");
    ASSERT_TEXT(json_of_text(memory, (Text){3, (uint8_t *)"a\0b"}), "\"a\\u0000b\"");
    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    Text text = json_of_text(memory, (Text){sizeof all, (uint8_t *)all});
    cr_assert(json_is_valid(text.data, text.len));
}

Test(json_write, writes_every_member_in_the_order_of_the_contract)
{
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    cr_assert_str_eq(json_text_of(memory, &packet->base),
                     "{\"id\":null,\"version\":null,\"parent_packet_id\":null,\"metadata\":null,"
                     "\"context\":null,\"decisions\":[],\"actions\":null,\"dependencies\":[],"
                     "\"hitl\":null,\"status\":null,\"created_at\":null,\"updated_at\":null}");
}

Test(json_write, leaves_out_what_is_ours_and_absent)
{
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    cr_assert_null(strstr(json_text_of(memory, &packet->base), "\"claim\""));
    packet->claim = wire_new(memory, &hr__claim__descriptor);
    packet->claim->has_generation = true;
    packet->claim->generation = UINT64_MAX;
    cr_assert_not_null(strstr(json_text_of(memory, &packet->base),
                              ",\"claim\":{\"holder\":null,\"generation\":18446744073709551615,"
                              "\"claimed_at\":null}}"));
}

Test(json_write, names_enum_values_it_does_not_know_by_their_number)
{
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    packet->has_status = true;
    packet->status = (Hr__Status)99;
    cr_assert_not_null(strstr(json_text_of(memory, &packet->base), "\"status\":\"unknown_99\""));
}

Test(json_write, writes_an_empty_free_form_value_as_null)
{
    Hr__Context *context = wire_new(memory, &hr__context__descriptor);

    context->custom = wire_new(memory, &hr__json__descriptor);
    cr_assert_not_null(strstr(json_text_of(memory, &context->base), "\"custom\":null"));
}

Test(json_write, writes_a_list_message_as_a_bare_array)
{
    const char *json = "{\"hitl\":{\"reason\":\"r\",\"options\":[\"a\",\"b\"]}}";
    const ProtobufCMessage *update = message_of(memory, &hr__update_packet__descriptor, json);

    cr_assert_not_null(strstr(json_text_of(memory, update), "\"options\":[\"a\",\"b\"]"));
}

Test(json_write, writes_moments_in_utc_with_six_digits)
{
    const char *json = "{\"decisions\":[{\"id\":\"d\",\"decision\":\"d\",\"rationale\":\"\","
                       "\"timestamp\":\"2026-11-20T21:29:05+02:00\"}]}";
    const ProtobufCMessage *update = message_of(memory, &hr__update_packet__descriptor, json);

    cr_assert_not_null(
        strstr(json_text_of(memory, update), "\"timestamp\":\"2026-11-20T19:29:05.000000Z\""));
}

// What is written can be read, and is then written the same.
Test(json_write, is_read_back_as_it_was)
{
    const char *json = create_body(
        memory,
        ",\"parent_packet_id\":\"0190b5a2-7c3e-7def-8123-456789abcdef\",\"decisions\":[{\"id\":"
        "\"d\",\"decision\":\"x\",\"rationale\":\"\",\"alternatives\":[\"\\u0000\"],\"timestamp\":"
        "\"2026-01-01\"}],\"actions\":{\"pending\":[{\"id\":\"p\",\"description\":\"d\","
        "\"assignee\":\"a\",\"priority\":\"low\",\"depends_on\":[\"q\"]}],\"failed\":[{\"id\":"
        "\"f\",\"description\":\"d\",\"error\":\"e\",\"retries_remaining\":3}]},\"dependencies\":"
        "[{\"id\":\"1\",\"type\":\"api\",\"description\":\"d\",\"status\":\"blocked\"}],\"hitl\":"
        "{\"required\":false,\"reason\":\"\",\"options\":[]}");
    const char *first =
        json_text_of(memory, message_of(memory, &hr__create_packet__descriptor, json));
    const char *second =
        json_text_of(memory, message_of(memory, &hr__create_packet__descriptor, first));

    cr_assert_str_eq(first, second);
}
