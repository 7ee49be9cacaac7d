// Unknown members: kept, never taken for what the rail writes, bounded.
#include "broker/message/extra.h"
#include "broker/message/rules.h"

#include "broker/base/buf.h"
#include "broker/packet/decide.h"
#include "tests/unit/messages.h"

#define CREATE &hr__create_packet__descriptor
#define UPDATE &hr__update_packet__descriptor
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

TestSuite(extra, .init = set_up, .fini = tear_down);

static Hr__Packet *created(const char *json)
{
    struct decision d = {.arena = memory, .packet_id = "p", .key_id = "k", .now_us = NOW};

    cr_assert_eq(decide_create(&d, message_of(memory, CREATE, json)), RC_OK);
    return d.packet;
}

static enum rc update(Hr__Packet *packet, const char *json, const char **refusal)
{
    struct decision d = {
        .arena = memory, .packet_id = "p", .key_id = "k", .now_us = NOW, .packet = packet};
    enum rc rc = decide_update(&d, message_of(memory, UPDATE, json));

    *refusal = rc != RC_OK ? arena_copy(memory, d.problem.detail.data, d.problem.detail.len) : "";
    return rc;
}

#define ASSERT_HAS(json, part) cr_assert_not_null(strstr(json, part), "%s\nhas no\n%s", json, part)
#define ASSERT_NOT(json, part) cr_assert_null(strstr(json, part), "%s\nhas\n%s", json, part)

// --- JSON ----------------------------------------------------------------------------------------

Test(extra, members_are_kept_byte_for_byte_and_in_their_order_behind_the_others)
{
    const char *json = json_text_of(
        memory, &created(create_body(memory, ",\"z\" : 1e400,\"a\":[ 1.0 ,{\"b\" :null}],\"extra\":"
                                             "{\"id\":\"x\"},\"\":12345678901234567890,"
                                             "\"\\u0041\":\"\\u0000\",\"n\":null"))
                     ->base);

    ASSERT_HAS(json, ",\"z\" : 1e400,\"a\":[ 1.0 ,{\"b\" :null}],\"extra\":{\"id\":\"x\"},\"\":"
                     "12345678901234567890,\"\\u0041\":\"\\u0000\",\"n\":null}");
}

Test(extra, an_answer_that_is_sent_again_is_the_same)
{
    const char *json = json_text_of(
        memory, message_of(memory, CREATE, create_body(memory, ",\"extra\":[1],\"b\":{}")));

    cr_assert_str_eq(json_text_of(memory, message_of(memory, CREATE, json)), json);
}

// Of every message that keeps them: what the rail writes there cannot be brought in as an unknown
// member, whatever is spelled how.
static void check_reserved(const ProtobufCMessageDescriptor *descriptor,
                           const ProtobufCMessageDescriptor *end)
{
    for (unsigned i = 0; i < end->n_fields; i++) {
        const char *name = end->fields[i].name;
        bool is_hidden = end->fields[i].id == EXTRA_FIELD || strcmp(name, "content_json") == 0;

        cr_expect_eq(extra_is_reserved(descriptor, text_of(name)), !is_hidden, "%s.%s",
                     descriptor->short_name, name);
    }
}

Test(extra, no_name_that_the_rail_writes_is_an_unknown_one)
{
    check_reserved(CREATE, &hr__packet__descriptor);
    check_reserved(UPDATE, &hr__packet__descriptor);
    check_reserved(&hr__chain_packet__descriptor, &hr__packet__descriptor);
    check_reserved(&hr__actions_update__descriptor, &hr__actions__descriptor);
    check_reserved(&hr__metadata__descriptor, &hr__metadata__descriptor);
    check_reserved(&hr__hitl__descriptor, &hr__hitl__descriptor);
    check_reserved(&hr__conversation_entry__descriptor, &hr__conversation_entry__descriptor);
}

Test(extra, what_the_rail_writes_cannot_be_forged_at_any_depth)
{
    const char *json = json_text_of(
        memory,
        &created("{\"id\":\"f\",\"cl\\u0061im\":{\"generation\":7},\"lineage\":{\"hops\":9},"
                 "\"declined\":[5],\"archived_at\":1,\"metadata\":{\"source_agent\":{\"id\":\"s\","
                 "\"name\":\"S\"},\"target_agent\":{\"id\":\"t\",\"name\":\"T\"},"
                 "\"fallbacks_used\":4,\"claimed\\u005fat\":\"2020-01-01\"},\"context\":{"
                 "\"summary\":\"x\"},\"hitl\":{\"reason\":\"r\",\"votes\":[1],"
                 "\"subject\\u005fdigest\":\"f\"}}")
             ->base);

    ASSERT_HAS(json, "{\"id\":\"p\",");
    ASSERT_NOT(json, "lineage");
    ASSERT_NOT(json, "im\":{");
    ASSERT_NOT(json, "declined");
    ASSERT_NOT(json, "archived");
    ASSERT_NOT(json, "used");
    ASSERT_NOT(json, "2020");
    ASSERT_NOT(json, "votes");
    ASSERT_NOT(json, "digest");
}

Test(extra, one_that_comes_twice_is_refused)
{
    const char *refusal =
        refusal_of(memory, CREATE, create_body(memory, ",\"a\":1,\"\\u0061\":{\"b\":1,\"b\":2}"));

    ASSERT_HAS(refusal, "\"type\":\"duplicate_key\",\"loc\":[\"body\",\"a\"]");
    // Inside a value the rail does not look.
    (void)message_of(memory, CREATE, create_body(memory, ",\"a\":{\"b\":1,\"b\":2}"));
}

static const char *many(int from, int to)
{
    struct buf out = {0};
    const char *text;

    for (int i = from; i < to; i++)
        buf_printf(&out, ",\"m%d\":%d", i, i);
    text = arena_printf(memory, "%s", buf_text(&out));
    buf_fini(&out);
    return text;
}

Test(extra, there_are_at_most_a_thousand)
{
    const char *refusal;
    Hr__Packet *packet = created(create_body(memory, many(0, 1000)));

    ASSERT_HAS(json_text_of(memory, &packet->base), ",\"m16\":16,\"m17\":17,");
    ASSERT_HAS(refusal_of(memory, CREATE, create_body(memory, many(0, 1002))),
               "[{\"type\":\"too_many_members\",\"loc\":[\"body\",\"m1000\"],");
    ASSERT_HAS(refusal_of(memory, CREATE,
                          create_body(memory, arena_printf(memory, "%s,\"m3\":1", many(0, 500)))),
               "duplicate_key");
    cr_assert_eq(update(packet, "{\"m1\":2,\"m1000\":null}", &refusal), RC_OK);
    cr_assert_eq(update(packet, "{\"m1000\":2}", &refusal), RC_REFUSED);
    ASSERT_HAS(refusal, "too_many_members");
}

Test(extra, nesting_is_bounded_as_in_free_form_parts)
{
    const char *opening = "";
    const char *closing = "";

    for (int i = 0; i < 255; i++) {
        opening = arena_printf(memory, "%s[", opening);
        closing = arena_printf(memory, "%s]", closing);
    }
    (void)message_of(memory, CREATE,
                     create_body(memory, arena_printf(memory, ",\"a\":%s%s", opening, closing)));
    ASSERT_HAS(
        refusal_of(memory, CREATE,
                   create_body(memory, arena_printf(memory, ",\"a\":[%s%s]", opening, closing))),
        "nested too deeply");
}

// --- protobuf ------------------------------------------------------------------------------------

static Hr__CreatePacket *with_extra(const char *text)
{
    Hr__CreatePacket *create =
        (Hr__CreatePacket *)message_of(memory, CREATE, create_body(memory, ""));

    create->extra = wire_json(memory, text_of(text));
    return create;
}

Test(extra, sent_in_protobuf_it_loses_the_names_that_are_taken)
{
    Hr__CreatePacket *create = with_extra(" {\"claim\":{\"generation\":1}, \"b\" : 1.0,"
                                          "\"metadata\":{},\"status\":\"failed\" }\n");

    cr_assert_null(check_refusal(memory, &create->base));
    ASSERT_TEXT(create->extra->text, "{\"b\" : 1.0}");
    create = with_extra("{\"i\\u0064\":1}");
    cr_assert_null(check_refusal(memory, &create->base));
    cr_assert_null(create->extra);
}

Test(extra, sent_in_protobuf_it_must_be_an_object)
{
    static const char *const wrong[] = {"",     "[]",      "1",           "{",
                                        "{}{}", "{\"a\"}", "{\"a\":\v1}", "{\"a\":1,\"a\":2}"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *refusal = check_refusal(memory, &with_extra(wrong[i])->base);

        cr_assert_not_null(refusal, "%s", wrong[i]);
        ASSERT_HAS(refusal, "\"loc\":[\"body\",\"extra\"]");
    }
    cr_assert_not_null(
        check_refusal(memory, &with_extra(arena_printf(memory, "{%s}", many(0, 1001) + 1))->base));
}

// --- updates -------------------------------------------------------------------------------------

Test(extra, an_update_is_laid_over_what_is_stored_and_null_removes)
{
    Hr__Packet *packet = created(create_body(
        memory, ",\"a\":1,\"b\":{\"x\":1},\"c\":\"null\",\"actions\":{\"skipped\":[1]}"));
    const char *refusal;

    cr_assert_eq(
        update(packet,
               "{\"b\":2,\"d\":[],\"e\":null,\"actions\":{\"later\":0},\"schema_id\":\"s\"}",
               &refusal),
        RC_OK);
    ASSERT_TEXT(packet->extra->text, "{\"a\":1,\"b\":2,\"c\":\"null\",\"d\":[]}");
    ASSERT_TEXT(packet->actions->extra->text, "{\"skipped\":[1],\"later\":0}");
    cr_assert_eq(update(packet, "{\"d\" : null,\"c\":3,\"id\":\"f\",\"lineage\":{}}", &refusal),
                 RC_OK);
    ASSERT_TEXT(packet->extra->text, "{\"a\":1,\"b\":2,\"c\":3}");
    cr_assert_eq(update(packet, "{\"a\":null,\"b\":null,\"c\":null}", &refusal), RC_OK);
    cr_assert_null(packet->extra);
}

Test(extra, entries_of_an_update_bring_theirs_along)
{
    Hr__Packet *packet = created(create_body(memory, ""));
    const char *refusal;

    cr_assert_eq(update(packet,
                        "{\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":\"r\","
                        "\"score\":0.10}],\"dependencies\":[{\"id\":\"1\",\"type\":\"api\","
                        "\"description\":\"d\",\"url\":\"u\"}]}",
                        &refusal),
                 RC_OK);
    ASSERT_TEXT(packet->decisions[0]->extra->text, "{\"score\":0.10}");
    ASSERT_TEXT(packet->dependencies[0]->extra->text, "{\"url\":\"u\"}");
}
