#include "broker/base/log.h"

#include "broker/message/json_read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static int saved;
static int ends[2];

static void capture(void)
{
    cr_assert_eq(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
}

// What was written to standard error since capture(), as one read(2) sees it.
static const char *captured(void)
{
    static char text[LINE_MAX_BYTES * 4];
    ssize_t len;

    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    (void)close(saved);
    (void)close(ends[1]);
    len = read(ends[0], text, sizeof text - 1);
    (void)close(ends[0]);
    cr_assert_geq(len, 0);
    text[len] = '\0';
    return text;
}

// The line without its newline is one JSON value.
static void assert_json_line(const char *line)
{
    size_t len = strlen(line);

    cr_assert_gt(len, 0);
    cr_assert_leq(len, LINE_MAX_BYTES);
    cr_assert_eq(line[len - 1], '\n');
    cr_assert_eq(strchr(line, '\n'), line + len - 1, "one event is one line");
    cr_assert(json_is_valid(line, len - 1), "%s", line);
}

Test(log, writes_one_line_of_text)
{
    const char *line;
    char rest[256];

    log_init("test", LOG_INFO, false);
    capture();
    log_info("job.settled", "job_id=%s ms=%d", "j1", 7);
    line = captured();
    (void)snprintf(rest, sizeof rest, "Z info test[%ld] job.settled job_id=j1 ms=7\n",
                   (long)getpid());
    cr_assert_str_eq(line + strlen("2026-11-20T21:29:05.634694"), rest);
}

Test(log, writes_pairs_as_members_of_a_json_object)
{
    const char *line;

    log_init("test", LOG_INFO, true);
    capture();
    log_warn("job.late", "job_id=%s reason=\"%s\" ms=7 and so on", "j1", "went out \\ for lunch");
    line = captured();
    assert_json_line(line);
    cr_assert_not_null(strstr(line, "\"level\":\"warn\",\"program\":\"test\""));
    cr_assert_not_null(strstr(line, "\"event\":\"job.late\",\"job_id\":\"j1\","
                                    "\"reason\":\"went out \\\\ for lunch\",\"ms\":\"7\","
                                    "\"message\":\"and so on\"}\n"));
}

Test(log, stays_json_whatever_the_values_are)
{
    static const char *const values[] = {
        "", "\"", "\"\"", "a=b", "\x01\x02\x1f", "\\", "\\\"", "line\r\nbreak", "caf\xc3\xa9", "=",
    };

    log_init("test", LOG_INFO, true);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        capture();
        log_info("x.y", "a=%s b=\"%s\"", values[i], values[i]);
        assert_json_line(captured());
    }
}

Test(log, stays_json_when_a_line_is_too_long)
{
    static const char *const fillers[] = {"x", "\\", "\x01", "\xc3\xa9", "\xe2\x82\xac", "k=v "};
    char value[3000];

    log_init("test", LOG_INFO, true);
    for (size_t f = 0; f < sizeof fillers / sizeof fillers[0]; f++) {
        for (size_t start = 0; start < 4; start++) {
            size_t len = strlen(fillers[f]);

            memset(value, 'x', start);
            for (size_t at = start; at + len < sizeof value; at += len)
                memcpy(value + at, fillers[f], len + 1);
            capture();
            log_write(LOG_INFO, "x.y", "a=\"%s\" b=1", value); // more than the bound
            assert_json_line(captured());
        }
    }
}

Test(log, stays_json_when_a_value_is_not_utf_8)
{
    log_init("test", LOG_INFO, true);
    capture();
    log_info("x.y", "a=\"%s\" b=%s", "\xff\xc3", "\xed\xa0\x80");
    assert_json_line(captured());
}

Test(log, keeps_quiet_below_its_level)
{
    log_init("test", LOG_WARN, false);
    capture();
    log_debug("a.b", "%s", "c=1");
    log_info("a.b", "%s", "c=1");
    log_error("a.b", "%s", "c=1");
    cr_assert_not_null(strstr(captured(), " error test["));
}

Test(log, leaves_errno_as_it_was)
{
    log_init("test", LOG_INFO, false);
    capture();
    errno = ENOSPC;
    log_info("a.b", "%s", "c=1");
    cr_assert_eq(errno, ENOSPC);
    (void)captured();
}

Test(log, knows_its_levels_by_name)
{
    static const char *const names[LOG_LEVELS] = {"debug", "info", "warn", "error"};
    enum log_level level;

    for (int i = 0; i < LOG_LEVELS; i++) {
        cr_assert(log_level_parse(names[i], &level));
        cr_assert_eq((int)level, i);
    }
    cr_assert_not(log_level_parse("INFO", &level));
    cr_assert_not(log_level_parse("", &level));
    cr_assert_eq(level, LOG_ERROR);
}

Test(log, writes_a_bounded_number_of_lines_of_one_event)
{
    const char *text;
    size_t lines = 0;

    log_init("test", LOG_INFO, false);
    capture();
    for (int i = 0; i < 100000; i++)
        log_warn("test.flood", "i=%d", i);
    log_warn("test.other", "i=1");
    text = captured();
    for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n'))
        lines++;
    // A second may have passed in between.
    cr_expect_leq(lines, 3 * LOG_PER_SECOND + 3, "%zu", lines);
    cr_expect_geq(lines, LOG_PER_SECOND + 1, "%zu", lines);
    cr_expect_not_null(strstr(text, "test.other"), "another event is not held back");
}

Test(log, tells_how_many_lines_it_left_out)
{
    const struct timespec second = {.tv_sec = 1};
    const char *text;

    log_init("test", LOG_INFO, false);
    for (int i = 0; i < LOG_PER_SECOND + 5; i++)
        log_warn("test.flood", "i=%d", i);
    (void)nanosleep(&second, NULL); // the bound is one of real time
    capture();
    log_warn("test.other", "i=1");
    text = captured();
    cr_expect_not_null(strstr(text, "log.suppressed of=test.flood count=5\n"), "%s", text);
}
