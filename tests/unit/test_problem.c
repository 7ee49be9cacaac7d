#include "broker/message/problem.h"

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

TestSuite(problem, .init = set_up, .fini = tear_down);

Test(problem, has_a_status_and_a_name_of_its_own_for_every_code)
{
    for (int a = PROBLEM_NONE + 1; a < PROBLEM_CODES; a++) {
        unsigned status = problem_status((enum problem_code)a);
        const char *name = problem_name((enum problem_code)a);

        cr_assert(status >= 400 && status <= 599, "%s", name);
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(name, problem_name((enum problem_code)b));
    }
    cr_assert_eq(problem_status(PROBLEM_KEY_REVOKED), 401);
    cr_assert_eq(problem_status(PROBLEM_EXPIRED), 410);
    cr_assert_eq(problem_status(PROBLEM_VALIDATION), 422);
}

Test(problem, advises_to_wait_when_the_service_is_away)
{
    for (int code = PROBLEM_NONE + 1; code < PROBLEM_CODES; code++) {
        struct problem problem;

        cr_assert_eq(problem_set(&problem, memory, (enum problem_code)code, "x"), RC_REFUSED);
        cr_assert_eq(problem.retry_after_seconds > 0,
                     problem_status((enum problem_code)code) == 503 ||
                         code == PROBLEM_STORAGE_FULL);
    }
}

Test(problem, has_a_body_with_all_that_is_known)
{
    struct problem problem;

    (void)problem_set(&problem, memory, PROBLEM_NOT_FOUND, "Packet \"%s\" not found", "x\n");
    ASSERT_TEXT(problem_body(&problem, memory, NULL),
                "{\"detail\":\"Packet \\\"x\\n\\\" not found\",\"code\":\"not_found\"}");
    problem.field = "limit";
    ASSERT_TEXT(problem_body(&problem, memory, "r\"1"),
                "{\"detail\":\"Packet \\\"x\\n\\\" not found\",\"code\":\"not_found\",\"field\":"
                "\"limit\",\"request_id\":\"r\\\"1\"}");
    (void)problem_set_json(&problem, PROBLEM_ALREADY_CLAIMED, text_of("{\"message\":\"m\"}"));
    ASSERT_TEXT(problem_body(&problem, memory, NULL),
                "{\"detail\":{\"message\":\"m\"},\"code\":\"already_claimed\"}");
}

Test(problem, keeps_a_long_text_whole)
{
    char text[2048];

    for (size_t start = 0; start < 4; start++) {
        struct problem problem;
        Text body;

        memset(text, 'x', sizeof text);
        for (size_t i = start; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 4);
        text[sizeof text - 1] = '\0';
        (void)problem_set(&problem, memory, PROBLEM_INTERNAL, "%s", text);
        body = problem_body(&problem, memory, NULL);
        cr_assert(json_is_valid(body.data, body.len));
    }
}

Test(problem, comes_over_the_wire_as_it_was)
{
    for (int code = PROBLEM_NONE + 1; code < PROBLEM_CODES; code++) {
        struct problem problem;
        struct problem back;
        ProtobufCMessage *message;
        Text bytes;

        (void)problem_set(&problem, memory, (enum problem_code)code, "because");
        problem.field = code % 2 == 0 ? "limit" : NULL;
        bytes = wire_pack(memory, &problem_to_wire(&problem, memory)->base);
        cr_assert_eq(wire_unpack(&message, memory, &hr__error__descriptor, bytes.data, bytes.len),
                     RC_OK);
        cr_assert_eq(((Hr__Error *)message)->status, problem_status(problem.code));
        back = problem_of_wire((Hr__Error *)message, memory);
        cr_assert_eq(back.code, problem.code);
        ASSERT_TEXT(back.detail, "\"because\"");
        cr_assert_eq(back.retry_after_seconds, problem.retry_after_seconds);
        cr_assert_eq(back.field == NULL, problem.field == NULL);
        if (back.field != NULL)
            cr_assert_str_eq(back.field, "limit");
    }
}

Test(problem, of_a_code_from_the_future_is_internal_and_keeps_its_words)
{
    Hr__Error error = HR__ERROR__INIT;
    struct problem problem;

    error.has_code = true;
    error.code = text_of("not_known_yet");
    error.detail = wire_json(memory, text_of("\"Too late\""));
    problem = problem_of_wire(&error, memory);
    cr_assert_eq(problem.code, PROBLEM_INTERNAL);
    ASSERT_TEXT(problem.detail, "\"Too late\"");
}

Test(problem, is_never_none_and_never_without_words)
{
    Hr__Error error = HR__ERROR__INIT;
    struct problem problem = problem_of_wire(&error, memory);

    cr_assert_eq(problem.code, PROBLEM_INTERNAL);
    ASSERT_TEXT(problem.detail, "\"Internal error\"");
    error.has_code = true;
    error.code = text_of("none");
    cr_assert_eq(problem_of_wire(&error, memory).code, PROBLEM_INTERNAL);
}

Test(problem, of_a_failure_below_tells_no_secret)
{
    static const struct {
        enum rc rc;
        enum problem_code code;
    } cases[] = {
        {RC_TIMEOUT,     PROBLEM_UNAVAILABLE},
        {RC_UNAVAILABLE, PROBLEM_UNAVAILABLE},
        {RC_CLOSED,      PROBLEM_UNAVAILABLE},
        {RC_CONFLICT,    PROBLEM_UNAVAILABLE},
        {RC_IO,          PROBLEM_INTERNAL   },
        {RC_TOO_LARGE,   PROBLEM_TOO_LARGE  },
        {RC_INTERNAL,    PROBLEM_INTERNAL   },
        {RC_CORRUPT,     PROBLEM_INTERNAL   },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problem problem;

        cr_assert_eq(problem_of_rc(&problem, memory, cases[i].rc), RC_REFUSED);
        cr_assert_eq(problem.code, cases[i].code, "%s", rc_text(cases[i].rc));
    }
}
