// Migrations against a real server.
#include "broker/sql/migrate.h"
#include "tests/integration/sql/lab.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
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

TestSuite(migrate, .init = set_up, .fini = tear_down, .timeout = 60);

#define SQL_FILE(version, name, text)                                                              \
    {                                                                                              \
        version, name, text, sizeof text - 1                                                       \
    }

Test(migrate, every_file_is_applied_once)
{
    cr_assert_eq(migrate_apply(lab.conninfo, sql_files, 1000), RC_OK);
    cr_assert_eq(migrate_apply(lab.conninfo, sql_files, 1000), RC_OK);
    cr_assert_str_eq(lab_sql(&lab, "SELECT name FROM schema_migrations WHERE version = 1"),
                     "001_audit_log");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packet_events"), "0");
}

Test(migrate, a_changed_file_is_refused_and_nothing_behind_it_is_applied)
{
    static const struct sql_file before[] = {SQL_FILE(1, "001_a", "CREATE TABLE a ()"), {0}};
    static const struct sql_file after[] = {SQL_FILE(1, "001_a", "CREATE TABLE a (n int)"),
                                            SQL_FILE(2, "002_b", "CREATE TABLE b ()"),
                                            {0}};

    cr_assert_eq(migrate_apply(lab.conninfo, before, 1000), RC_OK);
    cr_assert_eq(migrate_apply(lab.conninfo, after, 1000), RC_CONFIG);
    cr_assert_str_eq(lab_sql(&lab, "SELECT to_regclass('b') IS NULL"), "t");
}

Test(migrate, a_file_that_fails_leaves_nothing_behind)
{
    static const struct sql_file bad[] = {
        SQL_FILE(1, "001_a", "CREATE TABLE a ()"),
        SQL_FILE(2, "002_b", "CREATE TABLE b (); CREATE TABLE nonsense"),
        {0},
    };

    cr_assert_eq(migrate_apply(lab.conninfo, bad, 1000), RC_INTERNAL);
    cr_assert_str_eq(lab_sql(&lab, "SELECT to_regclass('a') IS NOT NULL"), "t");
    cr_assert_str_eq(lab_sql(&lab, "SELECT to_regclass('b') IS NULL"), "t");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM schema_migrations"), "1");
}

Test(migrate, many_processes_may_start_together)
{
    pid_t children[6];

    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(migrate_apply(lab.conninfo, sql_files, 5000) == RC_OK ? 0 : 1);
    }
    for (int i = 0; i < 6; i++) {
        int status = -1;

        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert_eq(status, 0);
    }
}

Test(migrate, an_absent_server_is_waited_for_as_long_as_asked)
{
    int64_t start = lab_now_ms();

    cr_assert_eq(migrate_apply("host=/nonexistent", sql_files, 700), RC_UNAVAILABLE);
    cr_assert_geq(lab_now_ms() - start, 700);
    cr_assert_lt(lab_now_ms() - start, 2000);
    cr_assert_eq(migrate_apply("nonsense", sql_files, 700), RC_CONFIG);
}

Test(migrate, events_can_only_be_added)
{
    static const char *const forbidden[] = {
        "UPDATE packet_events SET actor = 'x'",
        "DELETE FROM packet_events",
        "TRUNCATE packet_events",
        "TRUNCATE packet_events_default",
        "TRUNCATE packet_events_2026_11",
        "UPDATE packet_events_2026_11 SET actor = 'x'",
        "DELETE FROM projector_epochs",
    };

    cr_assert_eq(migrate_apply(lab.conninfo, sql_files, 1000), RC_OK);
    cr_assert_str_eq(lab_sql(&lab, "SELECT packet_events_make_month('2026-11-30 23:30-02')"), "t");
    cr_assert_str_eq(lab_sql(&lab, "SELECT to_regclass('packet_events_2026_12') IS NOT NULL"), "t",
                     "months are UTC");
    cr_assert_str_eq(lab_sql(&lab, "SELECT packet_events_make_month('2026-11-15')"), "t");
    cr_assert_str_eq(lab_sql(&lab, "SELECT packet_events_make_month('2026-11-15')"), "f");
    (void)lab_sql(&lab, "INSERT INTO packet_events SELECT n, '2026-11-01'::timestamptz + n * '1 d'"
                        "::interval, gen_random_uuid(), gen_random_uuid(), 1, 0, 't', 'created',"
                        " 'a', 'k', '{}', '' FROM generate_series(0, 90) n");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packet_events_2026_11"), "30");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packet_events_default"), "30");
    cr_assert_str_eq(lab_sql(&lab, "SELECT packet_events_make_month('2027-01-15')"), "f",
                     "rows in the default partition stay there");
    (void)lab_sql(&lab, "INSERT INTO projector_epochs VALUES (0, 1, 0, now(), 'x')");
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        const char *sql = arena_printf(lab.arena,
                                       "DO $$ BEGIN %s; RAISE 'it was allowed';"
                                       " EXCEPTION WHEN insufficient_privilege THEN NULL; END $$",
                                       forbidden[i]);
        (void)lab_sql(&lab, sql);
    }
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packet_events"), "91");
}
