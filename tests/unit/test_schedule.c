#include "workers/webhook/schedule.h"

#include <criterion/criterion.h>
#include <string.h>

#define SECOND 1000000LL

static int64_t after(const char *text, int64_t now_us)
{
    return schedule_retry_after(text, strlen(text), now_us);
}

Test(schedule, reads_seconds_and_fractions)
{
    struct schedule schedule;

    cr_assert_null(schedule_parse(&schedule, "1,5,30,300,3600,21600"));
    cr_assert_eq(schedule.count, 6);
    cr_assert_eq(schedule.delay_us[5], 21600 * SECOND);
    cr_assert_null(schedule_parse(&schedule, "0.05"));
    cr_assert_eq(schedule.delay_us[0], 50000);
    cr_assert_null(schedule_parse(&schedule, ""));
    cr_assert_eq(schedule.count, 0);
}

Test(schedule, refuses_what_is_no_list_of_delays)
{
    static const char *const bad[] = {
        "x",      "1;2", "-1",
        "1,,2",   "nan", "inf",
        "604801", "1 2", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
    };
    struct schedule schedule;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not_null(schedule_parse(&schedule, bad[i]), "%s", bad[i]);
}

Test(schedule, gives_up_after_the_last_retry)
{
    struct schedule schedule;
    int64_t delay;

    cr_assert_null(schedule_parse(&schedule, "1,5"));
    cr_assert(schedule_next(&schedule, 1, 0, 0, &delay));
    cr_assert_eq(delay, SECOND);
    cr_assert(schedule_next(&schedule, 2, 1, 0, &delay));
    cr_assert_eq(delay, 5 * SECOND + SECOND / 2);
    cr_assert_not(schedule_next(&schedule, 3, 0, 0, &delay));
    cr_assert_not(schedule_next(&schedule, 0, 0, 0, &delay));
}

Test(schedule, waits_as_long_as_it_is_asked_to_and_never_less_than_planned)
{
    struct schedule schedule;
    int64_t delay;

    cr_assert_null(schedule_parse(&schedule, "5"));
    cr_assert(schedule_next(&schedule, 1, 0, 60 * SECOND, &delay));
    cr_assert_eq(delay, 60 * SECOND);
    cr_assert(schedule_next(&schedule, 1, 0, SECOND, &delay));
    cr_assert_eq(delay, 5 * SECOND);
}

Test(schedule, reads_retry_after_in_both_its_forms)
{
    // 784111777 is the moment of the example in RFC 9110.
    const int64_t example_us = 784111777 * SECOND;

    cr_assert_eq(after(" 120\r\n", 0), 120 * SECOND);
    cr_assert_eq(after("0", 0), 0);
    cr_assert_eq(after("Sun, 06 Nov 1994 08:49:37 GMT", example_us - 30 * SECOND), 30 * SECOND);
    cr_assert_eq(after("Sun, 06 Nov 1994 08:49:37 GMT", example_us + SECOND), 0);
    cr_assert_eq(after("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 * SECOND - SECOND), SECOND);
    cr_assert_eq(after("999999999", 0), RETRY_AFTER_MAX_US);
}

Test(schedule, takes_no_notice_of_a_retry_after_that_is_neither)
{
    static const char *const bad[] = {
        "",
        " ",
        "soon",
        "-5",
        "1.5",
        "9999999999999999999",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 32 Nov 2094 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(after(bad[i], 0), 0, "%s", bad[i]);
}
