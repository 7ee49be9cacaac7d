#include "broker/message/issues.h"

#include "broker/message/json_read.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *memory;
static struct issues issues;
static struct path path;

static void set_up(void)
{
    memory = arena_create(4096);
    issues = (struct issues){.arena = memory};
    path = (struct path){0};
    path_push_name(&path, text_of("body"));
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(issues, .init = set_up, .fini = tear_down);

static Text detail(void)
{
    struct problem problem;

    cr_assert_eq(issues_to_problem(&issues, &problem), RC_REFUSED);
    cr_assert_eq(problem.code, PROBLEM_VALIDATION);
    return problem.detail;
}

Test(issues, have_the_members_of_the_contract)
{
    struct issue *issue;

    path_push_name(&path, text_of("tags"));
    path_push_index(&path, 3);
    issue = issues_add(&issues, &path, "some_type", "Some \"message\"");
    issue->input = text_of("1.10");
    issue->ctx = issues_reason(memory, "why");
    path_pop(&path);
    (void)issues_add(&issues, &path, "other", "Other");
    ASSERT_TEXT(detail(), "[{\"type\":\"some_type\",\"loc\":[\"body\",\"tags\",3],\"msg\":\"Some "
                          "\\\"message\\\"\",\"input\":1.10,\"ctx\":{\"error\":\"why\"}},"
                          "{\"type\":\"other\",\"loc\":[\"body\",\"tags\"],\"msg\":\"Other\"}]");
}

Test(issues, keep_the_path_they_were_added_with)
{
    path_push_name(&path, text_of("a"));
    (void)issues_add(&issues, &path, "t", "m");
    path_pop(&path);
    path_push_name(&path, text_of("b"));
    cr_assert_not_null(strstr((char *)detail().data, "[\"body\",\"a\"]"));
}

Test(issues, do_not_repeat_a_large_input)
{
    char large[513];
    struct issue *issue = issues_add(&issues, &path, "t", "m");

    memset(large, '1', sizeof large);
    issue->input = (Text){512, (uint8_t *)large};
    cr_assert_not_null(strstr((char *)detail().data, "\"input\":111"));
    issue->input = (Text){513, (uint8_t *)large};
    cr_assert_null(strstr((char *)detail().data, "\"input\""));
}

Test(issues, are_counted_up_to_a_limit)
{
    for (int i = 0; i < ISSUES_MAX + 10; i++)
        issues_add(&issues, &path, "t", "m")->input = text_of("1");
    cr_assert_eq(issues.count, ISSUES_MAX);
    cr_assert(json_is_valid(detail().data, detail().len));
}

Test(issues, take_any_text_for_a_name)
{
    path_push_name(&path, text_of(""));
    path_push_name(&path, (Text){3, (uint8_t *)"\"\0\\"});
    (void)issues_add(&issues, &path, "t", "m");
    ASSERT_TEXT(issues.items[0]->path, "[\"body\",\"\",\"\\\"\\u0000\\\\\"]");
}
