// Every number that a client can send has a range, and every list an end.
#include "broker/message/rules.h"

#include "broker/base/buf.h"
#include "tests/fuzz/requests.h"
#include "tests/unit/messages.h"

#include <stdio.h>

#define REQUESTS 64 // at least as many as there are; more begin again
#define DEPTH_MAX 8

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(rules, .init = set_up, .fini = tear_down);

static void check_field(const ProtobufCMessageDescriptor *message, unsigned at)
{
    const ProtobufCFieldDescriptor *field = &message->fields[at];
    const struct rule *rule = rules_of(message, at);

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        cr_expect_leq(rule->max, LIST_MAX, "%s.%s has no end", message->short_name, field->name);
    else if (field->type == PROTOBUF_C_TYPE_INT64)
        cr_expect(rule->min != INT64_MIN, "%s.%s has no range", message->short_name, field->name);
}

static void walk(const ProtobufCMessageDescriptor *message, int depth)
{
    cr_assert_leq(message->n_fields, 128, "%s has more fields than json_read can tell apart",
                  message->short_name);
    if (depth == DEPTH_MAX || message == &google__protobuf__timestamp__descriptor)
        return;
    for (unsigned i = 0; i < message->n_fields; i++) {
        if ((rules_of(message, i)->flags & RULE_SERVER) != 0)
            continue;
        check_field(message, i);
        if (message->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            walk(message->fields[i].descriptor, depth + 1);
    }
}

Test(rules, give_every_number_a_range_and_every_list_an_end)
{
    for (int i = 0; i < REQUESTS; i++)
        walk(request_chosen_by((uint8_t)('0' + i)), 0);
}

static void assert_out_of_range(const char *hitl)
{
    const char *body =
        create_body(memory, arena_printf(memory, ",\"hitl\":{\"reason\":\"r\",%s}", hitl));
    const char *refusal = refusal_of(memory, &hr__create_packet__descriptor, body);

    cr_expect_not_null(strstr(refusal, "Input should be "), "%s", refusal);
}

Test(rules, refuse_a_time_out_that_can_never_be)
{
    assert_out_of_range("\"timeout_seconds\":0");
    assert_out_of_range("\"timeout_seconds\":-30");
    assert_out_of_range("\"timeout_seconds\":9007199254740992");
    assert_out_of_range("\"timeout_seconds\":31536001");
}

Test(rules, refuse_an_entry_without_its_text)
{
    static const char *const empty[] = {
        ",\"decisions\":[{\"id\":\"\",\"decision\":\"d\",\"rationale\":\"\"}]",
        ",\"decisions\":[{\"id\":\"1\",\"decision\":\"\",\"rationale\":\"\"}]",
        ",\"dependencies\":[{\"id\":\"1\",\"type\":\"api\",\"description\":\"\"}]",
        ",\"actions\":{\"pending\":[{\"id\":\"1\",\"description\":\"\",\"assignee\":\"\"}]}",
        ",\"actions\":{\"completed\":[{\"id\":\"\",\"description\":\"d\",\"result\":\"\"}]}",
        ",\"actions\":{\"failed\":[{\"id\":\"1\",\"description\":\"\",\"error\":\"\"}]}",
    };

    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        const char *refusal =
            refusal_of(memory, &hr__create_packet__descriptor, create_body(memory, empty[i]));

        cr_expect_not_null(strstr(refusal, "string_too_short"), "%s: %s", empty[i], refusal);
    }
}

Test(rules, refuse_an_empty_message_in_protobuf_too)
{
    Hr__CreatePacket *create = (Hr__CreatePacket *)message_of(
        memory, &hr__create_packet__descriptor, create_body(memory, ""));
    Hr__Decision *decision = wire_new(memory, &hr__decision__descriptor);

    create->n_decisions = 1;
    create->decisions = &decision;
    cr_assert_not_null(strstr(check_refusal(memory, &create->base),
                              "\"loc\":[\"body\",\"decisions\",0,\"decision\"]"));
}

Test(rules, end_a_list_and_name_it)
{
    struct buf out = {0};
    const char *refusal;

    buf_puts(&out, ",\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":\"r\"}");
    for (int i = 1; i <= LIST_MAX; i++)
        buf_puts(&out, ",{}");
    buf_puts(&out, "]");
    refusal =
        refusal_of(memory, &hr__create_packet__descriptor, create_body(memory, buf_text(&out)));
    cr_expect_not_null(strstr(refusal, "\"missing\""));
    buf_reset(&out);
    buf_puts(&out, ",\"dependencies\":[");
    for (int i = 0; i <= LIST_MAX; i++)
        buf_printf(&out, "%s{\"id\":\"1\",\"type\":\"api\",\"description\":\"d\"}",
                   i > 0 ? "," : "");
    buf_puts(&out, "]");
    refusal =
        refusal_of(memory, &hr__create_packet__descriptor, create_body(memory, buf_text(&out)));
    cr_expect_str_eq(
        refusal,
        "[{\"type\":\"too_long\",\"loc\":[\"body\",\"dependencies\"],\"msg\":\"List should "
        "have at most 10000 items after validation, not 10001\",\"ctx\":{\"field_type\":"
        "\"List\",\"max_length\":10000,\"actual_length\":10001}}]");
    buf_fini(&out);
}

// --- secrets -------------------------------------------------------------------------------------

#define SECRET "hunter2"

Test(rules, repeat_no_secret_that_is_refused)
{
    static const char *const bodies[] = {
        "{\"url\":\"https://h.example\",\"events\":[\"*\"],\"secret\":\"" SECRET "\"}", // too short
        "{\"url\":\"https://h.example\",\"secret\":[\"" SECRET "\"]}",
        "{\"url\":\"https://h.example\",\"secret\":{\"a\":\"" SECRET "\"}}",
        "{\"url\":\"https://h.example\",\"secret\":7" SECRET "}",
        "{\"secret\":\"" SECRET SECRET SECRET "\"}", // nothing is wrong with it, but url is missing
        "[\"" SECRET "\"]",
        "\"" SECRET "\"",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *refusal = refusal_of(memory, &hr__create_hook__descriptor, bodies[i]);

        cr_expect_null(strstr(refusal, SECRET), "%s: %s", bodies[i], refusal);
    }
    cr_expect_null(strstr(
        refusal_of(memory, &hr__rotate_hook__descriptor, "{\"secret\":\"" SECRET "\"}"), SECRET));
}

Test(rules, repeat_no_secret_that_came_as_protobuf)
{
    Hr__CreateHook *create = wire_new(memory, &hr__create_hook__descriptor);

    create->has_url = true;
    create->url = text_of("https://h.example");
    create->has_secret = true;
    create->secret = text_of(SECRET);
    cr_assert_null(strstr(check_refusal(memory, &create->base), SECRET));
}
