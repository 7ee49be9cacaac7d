// What happens while the server is away. Kills it, so this program has a cluster to itself and one
// test.
#include "tests/integration/sql/lab.h"

#include <criterion/criterion.h>

static const struct pg_statement sleep_long = {"sleep_long", "SELECT pg_sleep(10)"};
static const struct pg_statement one = {"one", "SELECT 1"};

Test(loss, queries_fail_at_once_and_work_again_when_the_server_is_back, .timeout = 60)
{
    struct lab_answer flying[4] = {0};
    struct lab_answer late = {0};
    struct lab lab;
    int64_t start;

    lab_open(&lab, false);
    lab_connect(&lab, 2, 0, NULL);
    lab_pause(&lab, 200);
    for (int i = 0; i < 4; i++) // two on their way, two in the queue
        cr_assert_eq(pg_query(lab.pg, &sleep_long, NULL, 0, lab_on_done, &flying[i]), RC_OK);
    lab_pause(&lab, 50);

    lab_kill(&lab);
    start = lab_now_ms();
    for (int i = 0; i < 4; i++) {
        cr_assert(lab_until(&lab, &flying[i].done, 2000));
        cr_assert_eq(flying[i].rc, RC_UNAVAILABLE);
        cr_assert_eq(flying[i].calls, 1);
    }
    cr_assert_lt(lab_now_ms() - start, 1000);
    cr_assert(!lab.up);
    cr_assert(!pg_is_up(lab.pg));

    for (int i = 0; i < 20; i++) { // while it tries to come back
        cr_assert_eq(pg_query(lab.pg, &one, NULL, 0, lab_on_done, &late), RC_UNAVAILABLE);
        lab_pause(&lab, 50);
    }
    cr_assert_eq(late.calls, 0);
    cr_assert_eq(lab.downs, 1);

    lab_revive(&lab);
    cr_assert(lab_until(&lab, &lab.up, 10000), "it never came back");
    cr_assert_eq(pg_query(lab.pg, &one, NULL, 0, lab_on_done, &late), RC_OK);
    cr_assert(lab_until(&lab, &late.done, 5000));
    cr_assert_eq(late.rc, RC_OK);
    lab_close(&lab);
}
