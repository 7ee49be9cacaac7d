// What is missing or wrong is reported on standard error, which each test reads through a file.
#include "broker/base/cfg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    const char *url;
    const char *dsn;
    int64_t limit;
    bool fast;
};

static const struct cfg_key keys[] = {
    CFG_STR(struct settings, url, "T_URL", "nats://localhost", "where NATS is"),
    CFG_STR(struct settings, dsn, "T_DSN", NULL, "Postgres connection string"),
    CFG_I64(struct settings, limit, "T_LIMIT", "10", -5, 100, "how many at once"),
    CFG_BOOL(struct settings, fast, "T_FAST", "", "hurry"),
    CFG_END,
};

static enum rc load_quietly(struct settings *settings, char report[1024])
{
    int saved = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    size_t len;
    enum rc rc;

    cr_assert_not_null(file);
    cr_assert_geq(dup2(fileno(file), STDERR_FILENO), 0);
    rc = cfg_load(keys, settings);
    (void)fflush(stderr);
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    (void)close(saved);
    rewind(file);
    len = fread(report, 1, 1023, file);
    report[len] = '\0';
    (void)fclose(file);
    return rc;
}

static void set(const char *name, const char *value)
{
    cr_assert_eq(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
}

Test(cfg, takes_the_environment_before_the_fallback)
{
    struct settings settings = {0};
    char report[1024];

    set("T_DSN", "host=here");
    set("T_LIMIT", "100");
    cr_assert_eq(load_quietly(&settings, report), RC_OK);
    cr_assert_str_eq(settings.url, "nats://localhost");
    cr_assert_str_eq(settings.dsn, "host=here");
    cr_assert_eq(settings.limit, 100);
    cr_assert_not(settings.fast);
    cr_assert_str_eq(report, "");
}

Test(cfg, reports_every_bad_key_and_no_value)
{
    struct settings settings = {0};
    char report[1024];

    set("T_DSN", NULL);
    set("T_LIMIT", "secret");
    set("T_FAST", "maybe-secret");
    cr_assert_eq(load_quietly(&settings, report), RC_CONFIG);
    cr_assert_str_eq(report, "T_DSN: not set (Postgres connection string)\n"
                             "T_LIMIT: not a whole number from -5 to 100\n"
                             "T_FAST: not one of true, false\n");
}

Test(cfg, holds_numbers_to_their_bounds)
{
    static const char *const good[] = {"-5", "0", "100", "+7"};
    static const char *const bad[] = {
        "", "-6", "101", "1.0", "10k", "1e1", "x", "0x10", "9223372036854775808", "7 "};
    struct settings settings = {0};
    char report[1024];

    set("T_DSN", "");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        set("T_LIMIT", good[i]);
        cr_assert_eq(load_quietly(&settings, report), RC_OK, "%s", good[i]);
        cr_assert_eq(settings.limit, strtoll(good[i], NULL, 10));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        set("T_LIMIT", bad[i]);
        cr_assert_eq(load_quietly(&settings, report), RC_CONFIG, "%s", bad[i]);
    }
}

Test(cfg, knows_the_words_for_yes_and_no)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off", ""};
    struct settings settings = {0};
    char report[1024];

    set("T_DSN", "");
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        set("T_FAST", yes[i]);
        cr_assert_eq(load_quietly(&settings, report), RC_OK);
        cr_assert(settings.fast, "%s", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        set("T_FAST", no[i]);
        cr_assert_eq(load_quietly(&settings, report), RC_OK);
        cr_assert_not(settings.fast, "%s", no[i]);
    }
}

static const char *printed(void (*print)(const struct cfg_key *, FILE *))
{
    static char text[2048];
    FILE *file = tmpfile();
    size_t len;

    cr_assert_not_null(file);
    print(keys, file);
    rewind(file);
    len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return text;
}

Test(cfg, prints_its_table_as_help)
{
    cr_assert_str_eq(printed(cfg_help), "  T_URL\n      where NATS is. Default: nats://localhost.\n"
                                        "  T_DSN\n      Postgres connection string. Required.\n"
                                        "  T_LIMIT\n      how many at once (-5 to 100). "
                                        "Default: 10.\n"
                                        "  T_FAST\n      hurry. Default: none.\n");
}

Test(cfg, prints_its_table_as_markdown)
{
    cr_assert_str_eq(printed(cfg_markdown),
                     "| `T_URL` | `nats://localhost` | where NATS is |\n"
                     "| `T_DSN` | `required` | Postgres connection string |\n"
                     "| `T_LIMIT` | `10` | how many at once |\n"
                     "| `T_FAST` |  | hurry |\n");
}
