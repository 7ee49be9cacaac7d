// The members of an object, as they stand.
#include "broker/message/members.h"
#include "tests/unit/messages.h"

static struct arena *memory;
static struct members members;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(members, .init = set_up, .fini = tear_down);

static bool read(const char *text)
{
    return members_read(&members, text_of(text), memory);
}

Test(members, of_an_empty_object_there_are_none)
{
    cr_assert(read("{}"));
    cr_assert_eq(members.count, 0);
    cr_assert(read(" { } "));
    cr_assert_eq(members.count, 0);
}

Test(members, each_is_kept_byte_for_byte)
{
    cr_assert(
        read(" {\"a\" : 1.50e0 ,\n\"b\":{\"a\":[1, {\"c\":null}]}, \"\":\"\\u0041\",\"d\":true} "));
    cr_assert_eq(members.count, 4);
    ASSERT_TEXT(members.items[0].key, "a");
    ASSERT_TEXT(members.items[0].raw, "\"a\" : 1.50e0");
    ASSERT_TEXT(members.items[1].key, "b");
    ASSERT_TEXT(members.items[1].raw, "\"b\":{\"a\":[1, {\"c\":null}]}");
    ASSERT_TEXT(members.items[2].key, "");
    ASSERT_TEXT(members.items[2].raw, "\"\":\"\\u0041\"");
    ASSERT_TEXT(members.items[3].raw, "\"d\":true");
}

Test(members, keys_are_what_they_mean)
{
    cr_assert(read("{\"\\u0061\\n\":1,\"x\\u0000y\":2}"));
    ASSERT_TEXT(members.items[0].key, "a\n");
    cr_assert(text_equal(members.items[1].key, (Text){3, (uint8_t *)(uintptr_t) "x\0y"}));
}

Test(members, numbers_at_the_end_are_whole)
{
    cr_assert(read("{\"a\":12345678901234567890123}"));
    ASSERT_TEXT(members.items[0].raw, "\"a\":12345678901234567890123");
}

Test(members, many_are_all_there)
{
    const char *text = "{\"k\":0";

    for (int i = 1; i < 100; i++)
        text = arena_printf(memory, "%s,\"k%d\":%d", text, i, i);
    cr_assert(read(arena_printf(memory, "%s}", text)));
    cr_assert_eq(members.count, 100);
    ASSERT_TEXT(members.items[99].raw, "\"k99\":99");
}

Test(members, what_is_no_object_has_none)
{
    static const char *const bad[] = {"",      "[]",   "1",          "\"a\"",       "null",
                                      "{",     "{}}",  "{} {}",      "{\"a\"}",     "{\"a\":}",
                                      "{a:1}", "[{}]", "{\"a\":1,}", "{\"a\":1 2}", "true"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert(!read(bad[i]), "%s", bad[i]);
}
