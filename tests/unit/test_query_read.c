#include "broker/message/query_read.h"

#include "broker/message/check.h"
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

TestSuite(query_read, .init = set_up, .fini = tear_down);

// "name", "value", ..., NULL
static bool value_of(const void *source, const char *name, Text *value)
{
    for (const char *const *at = source; *at != NULL; at += 2) {
        if (strcmp(at[0], name) == 0) {
            *value = text_of(at[1]);
            return true;
        }
    }
    return false;
}

static ProtobufCMessage *read_query(const ProtobufCMessageDescriptor *descriptor,
                                    const char *const *pairs, struct issues *issues)
{
    ProtobufCMessage *message = query_read(memory, descriptor, value_of, pairs, issues);

    message_check(message, "query", true, issues);
    return message;
}

Test(query_read, reads_every_parameter_of_a_list)
{
    static const char *const pairs[] = {"status",
                                        "created,claimed",
                                        "tags",
                                        "a, b",
                                        "source_agent",
                                        "s",
                                        "priority",
                                        "high",
                                        "created_after",
                                        "2026-01-01",
                                        "limit",
                                        "7",
                                        "offset",
                                        "3",
                                        "cursor",
                                        "abc",
                                        "unknown",
                                        "x",
                                        NULL};
    struct issues issues = {.arena = memory};
    const Hr__ListPackets *list =
        (const Hr__ListPackets *)read_query(&hr__list_packets__descriptor, pairs, &issues);

    cr_assert_eq(issues.count, 0);
    ASSERT_TEXT(list->status, "created,claimed");
    ASSERT_TEXT(list->tags, "a, b");
    ASSERT_TEXT(list->source_agent, "s");
    cr_assert_not(list->has_target_agent);
    ASSERT_TEXT(list->priority, "high");
    cr_assert_eq(wire_timestamp_us(list->created_after), 1767225600000000);
    cr_assert_null(list->created_before);
    cr_assert_eq(list->limit, 7);
    cr_assert_eq(list->offset, 3);
    ASSERT_TEXT(list->cursor, "abc");
}

Test(query_read, takes_an_empty_text_for_an_absent_one)
{
    static const char *const pairs[] = {"status", "", "cursor", "", NULL};
    struct issues issues = {.arena = memory};
    const Hr__ListPackets *list =
        (const Hr__ListPackets *)read_query(&hr__list_packets__descriptor, pairs, &issues);

    cr_assert_eq(issues.count, 0);
    cr_assert_not(list->has_status || list->has_cursor);
}

Test(query_read, reports_everything_that_is_wrong_with_its_path)
{
    static const char *const pairs[] = {
        "status", "\xff", "created_after", "soon", "limit", "x", "offset", "-1", NULL};
    struct issues issues = {.arena = memory};
    struct problem problem;

    (void)read_query(&hr__list_packets__descriptor, pairs, &issues);
    cr_assert_eq(issues_to_problem(&issues, &problem), RC_REFUSED);
    ASSERT_TEXT(
        problem.detail,
        "[{\"type\":\"string_unicode\",\"loc\":[\"query\",\"status\"],\"msg\":\"Input should be a "
        "valid string, unable to parse raw data as a unicode string\"},"
        "{\"type\":\"datetime_from_date_parsing\",\"loc\":[\"query\",\"created_after\"],\"msg\":"
        "\"Input should be a valid datetime or date, invalid date\",\"input\":\"soon\",\"ctx\":"
        "{\"error\":\"invalid date\"}},"
        "{\"type\":\"int_parsing\",\"loc\":[\"query\",\"limit\"],\"msg\":\"Input should be a valid "
        "integer, unable to parse string as an integer\",\"input\":\"x\"},"
        "{\"type\":\"greater_than_equal\",\"loc\":[\"query\",\"offset\"],\"msg\":\"Input should be "
        "greater than or equal to 0\",\"input\":-1,\"ctx\":{\"ge\":0}}]");
}

Test(query_read, holds_integers_to_what_they_are)
{
    static const char *const bad[] = {"",    "1.5", "0x10", "9223372036854775808",
                                      "1 2", "x",   "201",  "0"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const pairs[] = {"limit", bad[i], NULL};
        struct issues issues = {.arena = memory};

        (void)read_query(&hr__list_audit__descriptor, pairs, &issues);
        cr_assert_eq(issues.count, 1, "%s", bad[i]);
    }
}

Test(query_read, reads_yes_and_no)
{
    static const char *const words[] = {"true", "1", "YES", "on", "t", "y"};
    static const char *const others[] = {"false", "0", "No", "off", "f", "n"};

    for (size_t i = 0; i < 6; i++) {
        const char *const yes[] = {"all", words[i], NULL};
        const char *const no[] = {"all", others[i], NULL};
        struct issues issues = {.arena = memory};

        cr_assert(((Hr__GetHistory *)read_query(&hr__get_history__descriptor, yes, &issues))->all);
        cr_assert_not(
            ((Hr__GetHistory *)read_query(&hr__get_history__descriptor, no, &issues))->all);
        cr_assert_eq(issues.count, 0);
    }
    const char *const maybe[] = {"all", "maybe", NULL};
    struct issues issues = {.arena = memory};
    (void)read_query(&hr__get_history__descriptor, maybe, &issues);
    cr_assert_eq(issues.count, 1);
    cr_assert_str_eq(issues.items[0]->type, "bool_parsing");
}

// What is refused is not there any more, so nothing below stumbles over it.
Test(query_read, leaves_out_text_that_is_not_utf_8)
{
    static const char *const pairs[] = {"packet_id", "\xf0\xf0", NULL};
    struct issues issues = {.arena = memory};
    const Hr__GetHistory *history =
        (const Hr__GetHistory *)read_query(&hr__get_history__descriptor, pairs, &issues);

    cr_assert_not(history->has_packet_id);
    cr_assert_eq(issues.count, 1);
    cr_assert_str_eq(issues.items[0]->type, "string_unicode");
}

Test(query_read, a_parameter_that_is_needed_is_asked_for)
{
    static const char *const none[] = {NULL};
    static const char *const empty[] = {"from", "", NULL};
    static const char *const given[] = {"from", "x", NULL};
    const char *const *const cases[] = {none, empty, given};

    for (size_t i = 0; i < 3; i++) {
        struct issues issues = {.arena = memory};

        (void)read_query(&hr__get_context__descriptor, cases[i], &issues);
        cr_assert_eq(issues.count, i < 2);
        if (i < 2) {
            cr_assert_str_eq(issues.items[0]->type, "missing");
            ASSERT_TEXT(issues.items[0]->path, "[\"query\",\"from\"]");
        }
    }
}
