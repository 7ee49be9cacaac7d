// Entries as model APIs write them, and what clients get that do not know them.
#include "broker/message/transcript.h"

#include "broker/message/json_write.h"
#include "tests/unit/messages.h"

#define CREATE &hr__create_packet__descriptor

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(64 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(transcript, .init = set_up, .fini = tear_down);

static const char *body(const char *entry)
{
    return arena_printf(memory,
                        "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                        "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"}},\"context\":{"
                        "\"summary\":\"x\",\"conversation_state\":[%s]}}",
                        entry);
}

static Hr__ConversationEntry *entry_of(const char *json)
{
    Hr__CreatePacket *create = (Hr__CreatePacket *)message_of(memory, CREATE, body(json));

    return create->context->conversation_state[0];
}

static const char *answer(const Hr__ConversationEntry *entry, const char *header)
{
    Text text = json_of_answer(memory, &entry->base, header);

    return arena_copy(memory, text.data, text.len);
}

#define PARTS                                                                                      \
    "[{\"type\":\"text\",\"text\":\"one\"}, \"two\",{\"type\":\"tool_use\",\"input\":{\"text\":"   \
    "\"no\"}},{\"text\":1.0},[\"no\"],null,{\"thinking\":\"no\",\"text\":\"thr\\u0065e\"}]"

Test(transcript, an_entry_comes_back_as_it_was_sent_for_those_who_ask)
{
    const Hr__ConversationEntry *entry = entry_of("{\"role\":\"tool\",\"content\":" PARTS
                                                  ",\"tool_call_id\":\"c\",\"content_json\":7}");

    cr_assert_str_eq(answer(entry, "2"), "{\"role\":\"tool\",\"content\":" PARTS
                                         ",\"timestamp\":null,\"metadata\":null,\"tool_call_id\":"
                                         "\"c\",\"content_json\":7}");
    entry = entry_of("{\"role\":\"assistant\",\"content\": null ,\"parts\":[]}");
    cr_assert_str_eq(answer(entry, "2"), "{\"role\":\"assistant\",\"content\":null,\"timestamp\":"
                                         "null,\"metadata\":null,\"parts\":[]}");
}

Test(transcript, others_get_a_plain_entry_with_the_original_in_its_metadata)
{
    const Hr__ConversationEntry *entry =
        entry_of("{\"role\":\"tool\",\"content\":" PARTS
                 ",\"metadata\":{ \"a\" : 1.0,\"original\":\"old\"},\"name\":\"n\"}");
    const char *original = answer(entry, "2");
    static const char *const headers[] = {NULL, "", "1", "3", "2 "};

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        cr_assert_str_eq(
            answer(entry, headers[i]),
            arena_printf(memory,
                         "{\"role\":\"system\",\"content\":\"one\\ntwo\\nthree\",\"timestamp\":"
                         "null,\"metadata\":{\"a\" : 1.0,\"original\":%s},\"name\":\"n\"}",
                         original));
    cr_assert_str_eq(answer(entry_of("{\"role\":\"assistant\",\"content\":null}"), NULL),
                     "{\"role\":\"agent\",\"content\":\"\",\"timestamp\":null,\"metadata\":{"
                     "\"original\":{\"role\":\"assistant\",\"content\":null,\"timestamp\":null,"
                     "\"metadata\":null}}}");
}

Test(transcript, every_role_has_its_plain_one)
{
    static const char *const pairs[][2] = {
        {"assistant", "agent" },
        {"tool",      "system"},
        {"developer", "system"},
        {"user",      "user"  },
        {"agent",     "agent" },
        {"system",    "system"},
        {"human",     "human" },
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *json = answer(
            entry_of(arena_printf(memory, "{\"role\":\"%s\",\"content\":[]}", pairs[i][0])), NULL);

        cr_expect_not_null(
            strstr(json, arena_printf(memory, "{\"role\":\"%s\",\"content\":\"\"", pairs[i][1])),
            "%s", json);
    }
}

Test(transcript, a_plain_entry_that_is_sent_again_stays_as_it_is)
{
    const char *plain = answer(entry_of("{\"role\":\"tool\",\"content\":[\"a\"]}"), NULL);

    cr_assert_str_eq(answer(entry_of(plain), NULL), plain);
}

Test(transcript, other_roles_and_contents_are_refused)
{
    static const char *const wrong[] = {
        "{\"role\":\"model\",\"content\":\"\"}", "{\"role\":\"function\",\"content\":\"\"}",
        "{\"role\":\"user\",\"content\":{}}",    "{\"role\":\"user\",\"content\":1}",
        "{\"role\":\"user\",\"content\":true}",  "{\"role\":\"user\"}",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        (void)refusal_of(memory, CREATE, body(wrong[i]));
}

Test(transcript, an_own_part_comes_as_it_was_hashed)
{
    Hr__OwnPart *part = wire_new(memory, &hr__own_part__descriptor);
    const Hr__CreatePacket *create = (const Hr__CreatePacket *)message_of(
        memory, CREATE, body("{\"role\":\"tool\",\"content\":[\"a\"]}"));

    part->context = create->context;
    cr_assert(text_equal(json_of_answer(memory, &part->base, NULL),
                         json_of_message(memory, &part->base)));
}

// --- protobuf ------------------------------------------------------------------------------------

static const char *refusal_of_parts(const char *content, const char *parts)
{
    Hr__CreatePacket *create = (Hr__CreatePacket *)message_of(
        memory, CREATE, body("{\"role\":\"user\",\"content\":\"\"}"));
    Hr__ConversationEntry *entry = create->context->conversation_state[0];

    entry->content = text_of(content);
    entry->content_json = wire_json(memory, text_of(parts));
    return check_refusal(memory, &create->base);
}

Test(transcript, in_protobuf_content_is_one_thing_or_the_other)
{
    cr_assert_null(refusal_of_parts("", " [1.0]"));
    cr_assert_null(refusal_of_parts("", "null"));
    cr_assert_not_null(refusal_of_parts("text", "null"));
    cr_assert_not_null(refusal_of_parts("", "\"text\""));
    cr_assert_not_null(refusal_of_parts("", "{}"));
    cr_assert_not_null(refusal_of_parts("", "[1"));
    cr_assert_not_null(refusal_of_parts("", ""));
}
