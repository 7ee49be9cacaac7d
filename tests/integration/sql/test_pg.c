// The pool against a real server: values, transactions, queues and time-outs.
#include "broker/base/timestamp.h"
#include "tests/integration/sql/lab.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lab lab;

static void set_up(void)
{
    lab_open(&lab, false);
}

static void tear_down(void)
{
    lab_close(&lab);
}

TestSuite(pg, .init = set_up, .fini = tear_down, .timeout = 60);

static const struct pg_statement sleep_long = {"sleep_long", "SELECT pg_sleep(10)"};
static const struct pg_statement sleep_short = {"sleep_short", "SELECT pg_sleep(0.05), $1::bytea"};
static const struct pg_statement one = {"one", "SELECT 1"};
static const struct pg_statement insert = {"insert", "INSERT INTO t VALUES ($1)"};
static const struct pg_statement count = {"count", "SELECT count(*) FROM t"};
static const struct pg_statement divide = {"divide", "SELECT 1 / $1::int8"};

static enum rc ask(const struct pg_statement *statement, const struct pg_param *params, int n)
{
    struct lab_answer answer = {0};
    enum rc rc = pg_query(lab.pg, statement, params, n, lab_on_done, &answer);

    if (rc != RC_OK)
        return rc;
    cr_assert(lab_until(&lab, &answer.done, 10000), "no answer");
    cr_assert_eq(answer.calls, 1);
    return answer.rc;
}

static const char all_bytes[] = "a\0b\xff\\'\"";
static bool echoed;

static void on_echo(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    const struct pg_result *row = results[0];
    const struct uuid *uuid = ctx;
    struct uuid back;
    size_t len;

    cr_assert_eq(rc, RC_OK);
    cr_assert_eq(pg_rows(row), 1);
    cr_assert(pg_get_bool(row, 0, 0));
    cr_assert_eq(pg_get_int(row, 0, 1), -7);
    cr_assert_eq(pg_get_int(row, 0, 2), INT64_MIN);
    cr_assert_str_eq(pg_get_bytes(row, 0, 3, &len), "z\xc3\xbc");
    cr_assert_eq(len, 3);
    cr_assert(memcmp(pg_get_bytes(row, 0, 4, &len), all_bytes, sizeof all_bytes) == 0);
    cr_assert_eq(len, sizeof all_bytes);
    cr_assert_eq(pg_get_timestamp_us(row, 0, 5), 1);
    back = pg_get_uuid(row, 0, 6);
    cr_assert(memcmp(&back, uuid, sizeof back) == 0);
    cr_assert(pg_is_null(row, 0, 7));
    cr_assert(!pg_is_null(row, 0, 6));
    cr_assert_str_eq(pg_get_bytes(row, 0, 8, &len), "1970-01-01 00:00:00.000001");
    cr_assert_str_eq(pg_get_bytes(row, 0, 9, &len), "", "an empty text is not null");
    cr_assert(!pg_is_null(row, 0, 9));
    echoed = true;
}

Test(pg, values_come_back_as_they_were_sent)
{
    static const struct pg_statement echo = {
        "echo", "SELECT $1::bool, $2::int4, $3::int8, $4::text, $5::bytea, $6::timestamptz,"
                " $7::uuid, $8::text, ($6::timestamptz AT TIME ZONE 'UTC')::text, $9::text"};
    struct uuid uuid = uuid_new();
    const struct pg_param params[] = {
        pg_bool(true),
        pg_int4(-7),
        pg_int8(INT64_MIN),
        pg_text("z\xc3\xbc", 3),
        pg_bytea(all_bytes, sizeof all_bytes),
        pg_timestamptz(1),
        pg_uuid(&uuid),
        pg_null(PG_TEXT),
        pg_text(NULL, 0),
    };

    lab_connect(&lab, 1, 0, NULL);
    for (int round = 0; round < 2; round++) { // the second time it is prepared
        echoed = false;
        cr_assert_eq(pg_query(lab.pg, &echo, params, 9, on_echo, &uuid), RC_OK);
        cr_assert(lab_until(&lab, &echoed, 5000));
    }
}

static void on_sums(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    size_t len;

    cr_assert_eq(rc, RC_OK);
    cr_assert_eq(pg_get_int(results[0], 0, 0), 3, "three elements");
    cr_assert_eq(pg_get_int(results[0], 0, 1), 2, "two are not null");
    cr_assert_eq(pg_get_int(results[0], 0, 2), 0, "an empty array");
    cr_assert_str_eq(pg_get_bytes(results[0], 0, 3, &len), "a,\"b\\|<null>|");
    *(bool *)ctx = true;
}

Test(pg, arrays_carry_nulls_and_may_be_empty)
{
    static const struct pg_statement sums = {
        "sums", "SELECT cardinality($1::int8[])::int8, (SELECT count(u) FROM unnest($1) u),"
                " cardinality($2::uuid[])::int8, array_to_string($3::text[], '|', '<null>')"};
    struct pg_array numbers;
    struct pg_array none;
    struct pg_array texts;
    struct pg_param params[3];
    bool done = false;

    pg_array_init(&numbers, PG_INT8);
    pg_array_init(&none, PG_UUID);
    pg_array_init(&texts, PG_TEXT);
    pg_array_append(&numbers, pg_int8(1));
    pg_array_append(&numbers, pg_null(PG_INT8));
    pg_array_append(&numbers, pg_int8(2));
    pg_array_append(&texts, pg_text("a,\"b\\", 5));
    pg_array_append(&texts, pg_null(PG_TEXT));
    pg_array_append(&texts, pg_text("", 0));
    cr_assert_eq(pg_array_param(&numbers, &params[0]), RC_OK);
    cr_assert_eq(pg_array_param(&none, &params[1]), RC_OK);
    cr_assert_eq(pg_array_param(&texts, &params[2]), RC_OK);
    lab_connect(&lab, 1, 0, NULL);
    cr_assert_eq(pg_query(lab.pg, &sums, params, 3, on_sums, &done), RC_OK);
    cr_assert(lab_until(&lab, &done, 5000));
    pg_array_fini(&numbers);
    pg_array_fini(&none);
    pg_array_fini(&texts);
}

Test(pg, a_transaction_is_all_or_nothing_and_the_connection_lives_on)
{
    const struct pg_param one_param = pg_int8(1);
    const struct pg_param zero = pg_int8(0);
    const struct pg_step good[] = {
        {&insert, &one_param, 1},
        {&insert, &one_param, 1}
    };
    const struct pg_step bad[] = {
        {&insert, &one_param, 1},
        {&divide, &zero,      1},
        {&count,  NULL,       0}
    };
    struct lab_answer answers[4] = {0};

    (void)lab_sql(&lab, "CREATE TABLE t (n int8)");
    lab_connect(&lab, 1, 0, NULL);
    // All at once on one connection: the later ones wait, and their values are kept for them.
    cr_assert_eq(pg_run(lab.pg, PG_WRITE, bad, 3, lab_on_done, &answers[0]), RC_OK);
    cr_assert_eq(pg_run(lab.pg, PG_WRITE, good, 2, lab_on_done, &answers[1]), RC_OK);
    cr_assert_eq(pg_run(lab.pg, PG_WRITE, bad, 3, lab_on_done, &answers[2]), RC_OK);
    cr_assert_eq(pg_run(lab.pg, PG_SNAPSHOT, good, 2, lab_on_done, &answers[3]), RC_OK);
    for (int i = 0; i < 4; i++)
        cr_assert(lab_until(&lab, &answers[i].done, 5000));
    cr_assert_eq(answers[0].rc, RC_INVALID, "division by zero");
    cr_assert_eq(answers[1].rc, RC_OK);
    cr_assert_eq(answers[2].rc, RC_INVALID);
    cr_assert_eq(answers[3].rc, RC_UNAVAILABLE, "a snapshot does not write");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM t"), "2");
    cr_assert(lab_until(&lab, &lab.up, 5000));
    cr_assert_eq(ask(&count, NULL, 0), RC_OK);
}

Test(pg, a_missing_table_fails_one_query_and_no_other)
{
    const struct pg_param value = pg_int8(1);

    lab_connect(&lab, 1, 0, NULL);
    cr_assert_eq(ask(&insert, &value, 1), RC_UNAVAILABLE, "until a migration makes it");
    cr_assert_eq(ask(&one, NULL, 0), RC_OK);
    cr_assert_eq(lab.downs, 0);
    (void)lab_sql(&lab, "CREATE TABLE t (n int8)");
    cr_assert_eq(ask(&insert, &value, 1), RC_OK, "what failed to prepare is prepared again");
}

Test(pg, a_hundred_queries_share_three_connections)
{
    struct lab_answer answers[100] = {0};
    char bytes[64] = {0};
    struct pg_param param = pg_bytea(bytes, sizeof bytes);
    int64_t start;

    lab_connect(&lab, 3, 0, NULL);
    lab_pause(&lab, 200);
    start = lab_now_ms();
    for (int i = 0; i < 100; i++) {
        memset(bytes, i, sizeof bytes); // a waiting query must have copied it
        cr_assert_eq(pg_query(lab.pg, &sleep_short, &param, 1, lab_on_done, &answers[i]), RC_OK);
    }
    for (int i = 0; i < 100; i++) {
        cr_assert(lab_until(&lab, &answers[i].done, 5000));
        cr_assert_eq(answers[i].rc, RC_OK);
    }
    cr_assert_lt(lab_now_ms() - start, 100 * 50, "they did not run side by side");
}

Test(pg, the_queue_is_bounded)
{
    struct lab_answer *answers = calloc(1100, sizeof *answers);
    int refused = 0;

    lab_connect(&lab, 1, 1000, NULL);
    for (int i = 0; i < 1100; i++) {
        enum rc rc = pg_query(lab.pg, &sleep_long, NULL, 0, lab_on_done, &answers[i]);

        cr_assert(rc == RC_OK || rc == RC_UNAVAILABLE);
        refused += rc == RC_UNAVAILABLE;
    }
    cr_assert_eq(refused, 99);
    for (int i = 0; i < 1001; i++) {
        cr_assert(lab_until(&lab, &answers[i].done, 3000));
        cr_assert_eq(answers[i].rc, RC_TIMEOUT, "waiting counts as time as well");
    }
    free(answers);
}

Test(pg, a_slow_query_times_out_and_the_connection_is_kept)
{
    int64_t start;

    lab_connect(&lab, 1, 300, NULL);
    start = lab_now_ms();
    cr_assert_eq(ask(&sleep_long, NULL, 0), RC_TIMEOUT);
    cr_assert_lt(lab_now_ms() - start, 1500);
    cr_assert_eq(ask(&one, NULL, 0), RC_OK);
    cr_assert_eq(lab.downs, 0);
}

Test(pg, a_server_that_hangs_times_out_and_the_connection_is_dropped)
{
    pid_t backend;
    int64_t start;

    lab_connect(&lab, 1, 300, NULL);
    backend = (pid_t)strtol(lab_sql(&lab, "SELECT pid FROM pg_stat_activity WHERE application_name "
                                          "= 'lab' AND datname = current_database()"),
                            NULL, 10);
    cr_assert_gt(backend, 1);
    cr_assert_eq(kill(backend, SIGSTOP), 0);
    start = lab_now_ms();
    cr_assert_eq(ask(&one, NULL, 0), RC_TIMEOUT);
    cr_assert_lt(lab_now_ms() - start, 1500);
    cr_assert_eq(lab.downs, 1);
    cr_assert_eq(kill(backend, SIGCONT), 0);
    cr_assert(lab_until(&lab, &lab.up, 5000), "it does not come back");
    cr_assert_eq(ask(&one, NULL, 0), RC_OK);
}

Test(pg, a_terminated_session_is_replaced)
{
    struct lab_answer answer = {0};

    lab_connect(&lab, 1, 0, NULL);
    cr_assert_eq(pg_query(lab.pg, &sleep_long, NULL, 0, lab_on_done, &answer), RC_OK);
    lab_pause(&lab, 100);
    (void)lab_sql(&lab, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'lab' AND datname = current_database()");
    cr_assert(lab_until(&lab, &answer.done, 1000));
    cr_assert_eq(answer.rc, RC_UNAVAILABLE);
    cr_assert_eq(lab.downs, 1);
    cr_assert_eq(ask(&one, NULL, 0), RC_UNAVAILABLE, "at once, while nothing is up");
    cr_assert(lab_until(&lab, &lab.up, 5000));
    cr_assert_eq(ask(&one, NULL, 0), RC_OK);

    // While idle, too.
    (void)lab_sql(&lab, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'lab' AND datname = current_database()");
    lab_pause(&lab, 50);
    cr_assert_eq(lab.downs, 2);
    cr_assert(lab_until(&lab, &lab.up, 5000));
}

Test(pg, notifications_arrive_without_asking)
{
    bool arrived = false;

    lab_connect(&lab, 1, 0, "LISTEN news");
    (void)lab_sql(&lab, "SELECT pg_notify('news', 'first')");
    for (int i = 0; i < 100 && !arrived; i++) {
        lab_pause(&lab, 10);
        arrived = lab.notified != NULL;
    }
    cr_assert(arrived);
    cr_assert_str_eq(lab.notified, "first");
}

Test(pg, closing_answers_everybody)
{
    struct lab_answer answers[5] = {0};

    lab_connect(&lab, 2, 0, NULL);
    lab_pause(&lab, 100);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pg_query(lab.pg, &sleep_long, NULL, 0, lab_on_done, &answers[i]), RC_OK);
    lab_pause(&lab, 50);
    lab_close(&lab);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(answers[i].calls, 1);
        cr_assert_eq(answers[i].rc, RC_CLOSED);
    }
    lab_open(&lab, false);
}

Test(pg, nobody_there_means_no_waiting)
{
    static const char *const nowhere[] = {
        "host=/nonexistent user=x dbname=x",
        "host=localhost port=1 user=x dbname=x",       // resolved by the loop
        "host=does-not-exist.invalid user=x dbname=x", // and this one cannot be
        "host=localhost,127.0.0.1 port=1 user=x dbname=x",
    };

    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        lab.conninfo = arena_copy(lab.arena, nowhere[i], strlen(nowhere[i]));
        const struct pg_options options = {
            .conninfo = lab.conninfo, .application = "lab", .connections = 2};

        cr_assert_eq(pg_open(&lab.pg, &lab.loop, &options), RC_OK);
        cr_assert_eq(ask(&one, NULL, 0), RC_UNAVAILABLE);
        lab_pause(&lab, 350); // some more tries
        cr_assert(!pg_is_up(lab.pg));
        lab_close(&lab);
        lab_open(&lab, false);
    }
}

Test(pg, a_bad_connection_string_is_told)
{
    const struct pg_options options = {.conninfo = "port", .application = "lab", .connections = 1};
    struct pg *pg = NULL;

    cr_assert_eq(pg_open(&pg, &lab.loop, &options), RC_CONFIG);
    cr_assert_null(pg);
}
