// Messages that came as protobuf, where nothing about them can be taken for granted. What JSON can
// express is in test_json_read.c.
#include "broker/message/check.h"

#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <stdint.h>
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

TestSuite(check, .init = set_up, .fini = tear_down);

// A create that breaks no rule, for a test to break one.
static Hr__CreatePacket *good_create(void)
{
    return (Hr__CreatePacket *)message_of(
        memory, &hr__create_packet__descriptor,
        create_body(memory,
                    ",\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":\"\","
                    "\"alternatives\":[\"a\",\"b\"]}],\"hitl\":{\"reason\":\"r\"},"
                    "\"dependencies\":[{\"id\":\"1\",\"type\":\"api\",\"description\":\"d\"}]"));
}

Test(check, accepts_what_json_accepts)
{
    cr_assert_null(check_refusal(memory, &good_create()->base));
}

Test(check, takes_an_absent_required_string_for_an_empty_one)
{
    Hr__ClaimPacket *claim = wire_new(memory, &hr__claim_packet__descriptor);

    cr_assert_null(check_refusal(memory, &claim->base));
    cr_assert(claim->has_agent_id && claim->has_agent_name);
    ASSERT_TEXT(claim->agent_id, "");
    cr_assert_not(claim->has_framework);
}

Test(check, finds_an_absent_required_string_too_short)
{
    Hr__SearchPackets *search = wire_new(memory, &hr__search_packets__descriptor);

    cr_assert_not_null(strstr(check_refusal(memory, &search->base), "string_too_short"));
}

Test(check, misses_an_absent_required_message)
{
    Hr__CreatePacket *create = wire_new(memory, &hr__create_packet__descriptor);

    cr_assert_str_eq(check_refusal(memory, &create->base),
                     "[{\"type\":\"missing\",\"loc\":[\"body\",\"metadata\"],\"msg\":\"Field "
                     "required\"},{\"type\":\"missing\",\"loc\":[\"body\",\"context\"],\"msg\":"
                     "\"Field required\"}]");
}

Test(check, misses_a_required_name_that_is_absent_or_zero)
{
    const char *detail = "[{\"type\":\"missing\",\"loc\":[\"body\",\"dependencies\",0,\"type\"],"
                         "\"msg\":\"Field required\"}]";
    Hr__CreatePacket *create = good_create();

    create->dependencies[0]->has_type = false;
    cr_assert_str_eq(check_refusal(memory, &create->base), detail);
    create->dependencies[0]->has_type = true;
    create->dependencies[0]->type = HR__DEPENDENCY_TYPE__DEPENDENCY_TYPE_UNSPECIFIED;
    cr_assert_str_eq(check_refusal(memory, &create->base), detail);
}

Test(check, takes_the_zero_of_an_optional_name_for_absent)
{
    Hr__UpdatePacket *update = wire_new(memory, &hr__update_packet__descriptor);

    update->has_status = true;
    cr_assert_null(check_refusal(memory, &update->base));
    cr_assert_not(update->has_status);
}

Test(check, refuses_names_it_does_not_know)
{
    Hr__UpdatePacket *update = wire_new(memory, &hr__update_packet__descriptor);
    const char *detail;

    update->has_status = true;
    update->status = (Hr__Status)99;
    detail = check_refusal(memory, &update->base);
    cr_assert_not_null(detail);
    cr_assert_not_null(strstr(detail, "\"type\":\"enum\",\"loc\":[\"body\",\"status\"]"));
    cr_assert_not_null(strstr(detail, "Input should be 'created', 'claimed',"));
}

Test(check, refuses_strings_that_are_not_utf_8)
{
    static const struct {
        const char *bytes;
    } wrong[] = {{"\xff"}, {"\xc3"}, {"\xed\xa0\x80"}};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        Hr__CreatePacket *create = good_create();
        const char *detail;

        create->metadata->source_agent->id = text_of(wrong[i].bytes);
        create->decisions[0]->alternatives[1] = text_of(wrong[i].bytes);
        detail = check_refusal(memory, &create->base);
        cr_assert_not_null(detail);
        cr_assert_not_null(strstr(detail, "\"type\":\"string_unicode\",\"loc\":[\"body\","
                                          "\"metadata\",\"source_agent\",\"id\"]"));
        cr_assert_not_null(strstr(detail, "\"type\":\"string_unicode\",\"loc\":[\"body\","
                                          "\"decisions\",0,\"alternatives\",1]"));
    }
}

Test(check, refuses_free_form_parts_that_are_not_json)
{
    static const char *const wrong[] = {"", " ", "{", "{}{}", "{\"a\":1,}", "\xff", "\"\\ud800\""};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        Hr__CreatePacket *create = good_create();

        create->context->custom->text = text_of(wrong[i]);
        cr_assert_str_eq(check_refusal(memory, &create->base),
                         "[{\"type\":\"json_invalid\",\"loc\":[\"body\",\"context\",\"custom\"],"
                         "\"msg\":\"Input should be one JSON value in UTF-8\"}]",
                         "%s", wrong[i]);
    }
    Hr__CreatePacket *create = good_create();
    create->context->custom = wire_new(memory, &hr__json__descriptor);
    cr_assert_not_null(check_refusal(memory, &create->base));
}

Test(check, refuses_free_form_parts_of_the_wrong_kind)
{
    static const char *const no_object[] = {"[]", "\"{}\"", "5", "null", " [{}]"};
    static const char *const no_compound[] = {"5", " null", "true", "-1.5"};

    for (size_t i = 0; i < sizeof no_object / sizeof no_object[0]; i++) {
        Hr__CreatePacket *create = good_create();

        create->context->custom->text = text_of(no_object[i]);
        cr_assert_not_null(strstr(check_refusal(memory, &create->base), "\"dict_type\""), "%s",
                           no_object[i]);
    }
    for (size_t i = 0; i < sizeof no_compound / sizeof no_compound[0]; i++) {
        Hr__Artifact artifact = HR__ARTIFACT__INIT;
        Hr__Artifact *artifacts[] = {&artifact};
        Hr__CreatePacket *create = good_create();

        create->context->n_artifacts = 1;
        create->context->artifacts = artifacts;
        artifact.value = wire_json(memory, text_of(no_compound[i]));
        cr_assert_not_null(strstr(check_refusal(memory, &create->base), "\"compound_type\""), "%s",
                           no_compound[i]);
    }
}

// A packet that a client can store but no reader can parse would be lost to them.
Test(check, counts_the_depth_of_a_free_form_part_from_the_root)
{
    Hr__CreatePacket *create = good_create();
    char text[2 * 255];

    memset(text, '[', 255);
    memset(text + 255, ']', 255);
    create->context->n_artifacts = 1;
    create->context->artifacts = (Hr__Artifact *[]){&(Hr__Artifact)HR__ARTIFACT__INIT};
    create->context->artifacts[0]->has_key = true;
    create->context->artifacts[0]->key = text_of("k");
    // create, context, artifacts, artifact: 4 levels, so 252 are left.
    create->context->artifacts[0]->value = wire_json(memory, (Text){504, (uint8_t *)text + 3});
    cr_assert_null(check_refusal(memory, &create->base));
    create->context->artifacts[0]->value = wire_json(memory, (Text){506, (uint8_t *)text + 2});
    cr_assert_not_null(check_refusal(memory, &create->base));
}

Test(check, drops_what_only_the_server_writes)
{
    Hr__CreatePacket *create = good_create();

    create->metadata->claimed_at = wire_timestamp(memory, 1);
    create->metadata->completed_at = wire_timestamp(memory, 1);
    create->metadata->addressed_to = wire_new(memory, &hr__target_agent__descriptor);
    cr_assert_null(check_refusal(memory, &create->base));
    cr_assert_null(create->metadata->claimed_at);
    cr_assert_null(create->metadata->completed_at);
    cr_assert_null(create->metadata->addressed_to);
}

Test(check, sets_what_absence_means)
{
    Hr__CreatePacket *create = good_create();

    create->metadata->has_priority = false;
    create->context->custom = NULL;
    create->actions = NULL;
    create->hitl->has_required = false;
    create->dependencies[0]->has_status = false;
    cr_assert_null(check_refusal(memory, &create->base));
    cr_assert(create->metadata->has_priority);
    cr_assert_eq(create->metadata->priority, HR__PRIORITY__PRIORITY_NORMAL);
    ASSERT_TEXT(create->context->custom->text, "{}");
    cr_assert_not_null(create->actions);
    cr_assert(create->hitl->has_required && create->hitl->required);
    cr_assert_eq(create->dependencies[0]->status, HR__DEPENDENCY_STATUS__DEPENDENCY_STATUS_UNKNOWN);
}

Test(check, normalises_uuids_and_refuses_what_is_none)
{
    Hr__PacketRef *ref = wire_new(memory, &hr__packet_ref__descriptor);

    ref->has_packet_id = true;
    ref->packet_id = text_of("{0190B5A2-7C3E-7DEF-8123-456789ABCDEF}");
    cr_assert_null(check_refusal(memory, &ref->base));
    ASSERT_TEXT(ref->packet_id, "0190b5a2-7c3e-7def-8123-456789abcdef");
    ref->packet_id = text_of("a\"b");
    cr_assert_str_eq(check_refusal(memory, &ref->base),
                     "[{\"type\":\"uuid_parsing\",\"loc\":[\"body\",\"packet_id\"],\"msg\":\"Input "
                     "should be a valid UUID, invalid length\",\"input\":\"a\\\"b\",\"ctx\":"
                     "{\"error\":\"invalid length\"}}]");
    ref->packet_id = text_of("\xff");
    cr_assert_not_null(strstr(check_refusal(memory, &ref->base), "\"string_unicode\""));
}

Test(check, holds_numbers_to_their_bounds)
{
    Hr__ListPackets *list = wire_new(memory, &hr__list_packets__descriptor);

    list->has_limit = true;
    list->has_offset = true;
    list->limit = 200;
    cr_assert_null(check_refusal(memory, &list->base));
    list->limit = 1;
    cr_assert_null(check_refusal(memory, &list->base));
    list->limit = 0;
    list->offset = -1;
    cr_assert_str_eq(
        check_refusal(memory, &list->base),
        "[{\"type\":\"greater_than_equal\",\"loc\":[\"body\",\"limit\"],\"msg\":"
        "\"Input should be greater than or equal to 1\",\"input\":0,\"ctx\":{\"ge\":1}}"
        ",{\"type\":\"greater_than_equal\",\"loc\":[\"body\",\"offset\"],\"msg\":"
        "\"Input should be greater than or equal to 0\",\"input\":-1,\"ctx\":{\"ge\":0}"
        "}]");
    list->limit = 201;
    list->offset = 0;
    cr_assert_str_eq(check_refusal(memory, &list->base),
                     "[{\"type\":\"less_than_equal\",\"loc\":[\"body\",\"limit\"],\"msg\":\"Input "
                     "should be less than or equal to 200\",\"input\":201,\"ctx\":{\"le\":200}}]");
}

Test(check, asks_for_a_reason_where_a_human_is_asked)
{
    Hr__CreatePacket *create = good_create();

    create->hitl->reason = text_of("");
    cr_assert_not_null(strstr(check_refusal(memory, &create->base), "\"value_error\""));
}

Test(check, completes_an_old_record_without_judging_it)
{
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    packet->metadata = wire_new(memory, &hr__metadata__descriptor);
    packet->metadata->claimed_at = wire_timestamp(memory, 1);
    packet->metadata->addressed_to = wire_new(memory, &hr__target_agent__descriptor);
    packet->has_status = true;
    packet->status = (Hr__Status)99;
    packet->has_id = true;
    packet->id = text_of("\xff");
    message_complete(&packet->base, memory);
    cr_assert_eq(packet->metadata->priority, HR__PRIORITY__PRIORITY_NORMAL);
    cr_assert_not_null(packet->actions);
    cr_assert_not_null(packet->metadata->claimed_at);
    cr_assert_not_null(packet->metadata->addressed_to);
    cr_assert_eq((int)packet->status, 99);
}

// Fields a request has and we do not know, at the root, in a message and in the leaves.
Test(check, drops_fields_it_does_not_know)
{
    static const char bytes[] = "\x0a\x14\x0a\x06\x0a\x01s\xa0\x06\x05\x12\x00" // agents
                                "\x1a\x05\x08\x01\xa0\x06\x05\xa2\x06\x00"      // created_at
                                "\x12\x09\x22\x07\x0a\x02{}\x80\x00\x00"        // custom
                                "\x80\x00\x00";
    ProtobufCMessage *message;
    ProtobufCMessage *back;
    Hr__CreatePacket *create;
    Text packed;

    cr_assert_eq(
        wire_unpack(&message, memory, &hr__create_packet__descriptor, bytes, sizeof bytes - 1),
        RC_OK);
    create = (Hr__CreatePacket *)message;
    cr_assert_eq(message->n_unknown_fields, 1);
    cr_assert_eq(create->context->custom->base.n_unknown_fields, 1);
    cr_assert_null(check_refusal(memory, message));
    cr_assert_eq(message->n_unknown_fields, 0);
    cr_assert_eq(create->metadata->base.n_unknown_fields, 0);
    cr_assert_eq(create->metadata->source_agent->base.n_unknown_fields, 0);
    cr_assert_eq(create->metadata->created_at->base.n_unknown_fields, 0);
    cr_assert_eq(create->context->custom->base.n_unknown_fields, 0);
    packed = wire_pack(memory, message);
    cr_assert_eq(wire_unpack(&back, memory, message->descriptor, packed.data, packed.len), RC_OK);
}
