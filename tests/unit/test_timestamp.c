#include "broker/base/timestamp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *read_and_write(const char *text)
{
    static char written[TIMESTAMP_TEXT_BYTES];
    int64_t us;
    const char *error = timestamp_parse(text, strlen(text), &us);

    if (error != NULL)
        return error;
    timestamp_format(written, us);
    return written;
}

Test(timestamp, reads_every_form_the_contract_accepts)
{
    static const struct {
        const char *text;
        const char *meaning;
    } cases[] = {
        {"2026-11-20T21:29:05.634694Z",       "2026-11-20T21:29:05.634694Z"},
        {"2026-11-20t21:29:05z",              "2026-11-20T21:29:05.000000Z"},
        {"2026-11-20 21:29:05Z",              "2026-11-20T21:29:05.000000Z"},
        {"2026-11-20_21:29:05Z",              "2026-11-20T21:29:05.000000Z"},
        {"2026-11-20T21:29:05",               "2026-11-20T21:29:05.000000Z"},
        {"2026-11-20T21:29",                  "2026-11-20T21:29:00.000000Z"},
        {"2026-11-20T21:29Z",                 "2026-11-20T21:29:00.000000Z"},
        {"2026-11-20T21:29+02:00",            "2026-11-20T19:29:00.000000Z"},
        {"2026-11-20",                        "2026-11-20T00:00:00.000000Z"},
        {"2026-11-20T21:29:05.6Z",            "2026-11-20T21:29:05.600000Z"},
        {"2026-11-20T21:29:05,6Z",            "2026-11-20T21:29:05.600000Z"},
        {"2026-11-20T21:29:05.6346949999Z",   "2026-11-20T21:29:05.634694Z"},
        {"2026-11-20T21:29:05.9999999Z",      "2026-11-20T21:29:05.999999Z"},
        {"2026-11-20T00:29:05.5+05:30",       "2026-11-19T18:59:05.500000Z"},
        {"2026-11-20T21:29:05.5-0800",        "2026-11-21T05:29:05.500000Z"},
        {"2026-11-20T21:29:05+23:59",         "2026-11-19T21:30:05.000000Z"},
        {"2024-02-29T23:59:59.999999Z",       "2024-02-29T23:59:59.999999Z"},
        {"2000-02-29",                        "2000-02-29T00:00:00.000000Z"},
        {"0001-01-01T00:00:00Z",              "0001-01-01T00:00:00.000000Z"},
        {"9999-12-31T23:59:59.999999Z",       "9999-12-31T23:59:59.999999Z"},
        {"9999-12-31T23:59:59.999999999999Z", "9999-12-31T23:59:59.999999Z"},
        {"0",                                 "1970-01-01T00:00:00.000000Z"},
        {"-1",                                "1969-12-31T23:59:59.000000Z"},
        {"+1",                                "1970-01-01T00:00:01.000000Z"},
        {"1795210145",                        "2026-11-20T21:29:05.000000Z"},
        {"1795210145.634694",                 "2026-11-20T21:29:05.634694Z"},
        {"1795210145634",                     "2026-11-20T21:29:05.634000Z"},
        {"1.5e9",                             "2017-07-14T02:40:00.000000Z"},
        {"20260101",                          "1970-08-23T11:48:21.000000Z"},
        {"20000000000",                       "2603-10-11T11:33:20.000000Z"},
        {"20000000001",                       "1970-08-20T11:33:20.001000Z"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_str_eq(read_and_write(cases[i].text), cases[i].meaning, "%s is read as %s",
                         cases[i].text, read_and_write(cases[i].text));
}

Test(timestamp, refuses_everything_else_and_says_why)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"",                                         "invalid date"                          },
        {"T",                                        "invalid date"                          },
        {"tomorrow",                                 "invalid date"                          },
        {"2026-1-01",                                "invalid date"                          },
        {"2026/01/01",                               "invalid date"                          },
        {"26-01-01",                                 "invalid date"                          },
        {"02026-01-01",                              "invalid date"                          },
        {" 2026-01-01",                              "invalid date"                          },
        {"2026-01-01 ",                              "invalid time"                          },
        {"2026-01-01X10:00",                         "invalid date separator"                },
        {"2026-01-01T10",                            "invalid time"                          },
        {"2026-01-01T1:00",                          "invalid time"                          },
        {"2026-01-01T10:00:",                        "invalid seconds"                       },
        {"2026-01-01T10:00:5",                       "invalid seconds"                       },
        {"2026-01-01T10:00:05.",                     "invalid fraction of a second"          },
        {"2026-01-01T10:00:05.Z",                    "invalid fraction of a second"          },
        {"2026-01-01T24:00:00Z",                     "time is out of range"                  },
        {"2026-01-01T23:60:00Z",                     "time is out of range"                  },
        {"2026-01-01T23:59:60Z",                     "time is out of range"                  },
        {"2026-01-01T10:00:00+1:00",                 "invalid time zone"                     },
        {"2026-01-01T10:00:00+1",                    "invalid time zone"                     },
        {"2026-01-01T10:00:00+01",                   "invalid time zone"                     },
        {"2026-01-01T10:00:00+24:00",                "invalid time zone"                     },
        {"2026-01-01T10:00:00+01:60",                "invalid time zone"                     },
        {"2026-01-01T10:00:00 UTC",                  "invalid time zone"                     },
        {"2026-01-01T10:00:00ZZ",                    "unexpected extra characters at the end"},
        {"2026-01-01T10:00:00+01:00x",               "unexpected extra characters at the end"},
        {"2026-00-01",                               "date is out of range"                  },
        {"2026-13-01",                               "date is out of range"                  },
        {"2026-01-00",                               "date is out of range"                  },
        {"2026-01-32",                               "date is out of range"                  },
        {"2026-04-31",                               "date is out of range"                  },
        {"2026-02-29",                               "date is out of range"                  },
        {"1900-02-29",                               "date is out of range"                  },
        {"0000-01-01",                               "date is out of range"                  },
        {"0001-01-01T00:00:00+00:01",                "date is out of range"                  },
        {"9999-12-31T23:59:59-00:01",                "date is out of range"                  },
        {"1e400",                                    "invalid character in number"           },
        {"1e",                                       "invalid character in number"           },
        {"1.2.3",                                    "invalid character in number"           },
        {"e",                                        "invalid character in number"           },
        {"1e300",                                    "number is out of range"                },
        {"-1e300",                                   "number is out of range"                },
        {"253402300800000",                          "number is out of range"                },
        {"1000000000000000000000000000000000000000", "number is out of range"                },
        {"inf",                                      "invalid date"                          },
        {"nan",                                      "invalid date"                          },
        {"0x10",                                     "invalid date"                          },
        {"-",                                        "invalid date"                          },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_str_eq(read_and_write(cases[i].text), cases[i].reason, "\"%s\" gives \"%s\"",
                         cases[i].text, read_and_write(cases[i].text));
}

Test(timestamp, refuses_a_nul_wherever_it_stands)
{
    static const char text[] = "2026-01-01T10:00:00.5Z";
    char copy[sizeof text];
    int64_t us = 42;

    for (size_t i = 0; i < sizeof text - 1; i++) {
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        cr_assert_not_null(timestamp_parse(copy, sizeof text - 1, &us), "at %zu", i);
    }
    cr_assert_eq(us, 42, "an output is set only on success");
}

Test(timestamp, does_not_read_behind_the_end)
{
    static const char text[] = "2026-01-01T10:00:00.5Z";
    int64_t whole;
    int64_t part;

    cr_assert_null(timestamp_parse(text, 10, &part));
    cr_assert_null(timestamp_parse("2026-01-01", 10, &whole));
    cr_assert_eq(part, whole);
}

// A fixed sequence, so that a failure comes again.
static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 11;
}

Test(timestamp, comes_back_as_it_was_written)
{
    const uint64_t span = (uint64_t)(TIMESTAMP_MAX_US - TIMESTAMP_MIN_US) + 1;
    uint64_t state = 7;

    for (int i = 0; i < 200000; i++) {
        // Two draws: one has 53 bits, the span nearly 59.
        uint64_t draw = next_random(&state) << 20 ^ next_random(&state);
        int64_t us = TIMESTAMP_MIN_US + (int64_t)(draw % span);
        char text[TIMESTAMP_TEXT_BYTES];
        int64_t back = 0;

        timestamp_format(text, us);
        cr_assert_eq(strlen(text), strlen("2026-11-20T21:29:05.634694Z"));
        cr_assert_null(timestamp_parse(text, strlen(text), &back));
        cr_assert_eq(back, us, "%s", text);
    }
}

Test(timestamp, agrees_with_the_calendar_of_the_c_library)
{
    uint64_t state = 11;

    for (int i = 0; i < 50000; i++) {
        int64_t span = TIMESTAMP_MAX_US / 1000000 - TIMESTAMP_MIN_US / 1000000;
        int64_t seconds =
            TIMESTAMP_MIN_US / 1000000 + (int64_t)(next_random(&state) % (uint64_t)span);
        time_t moment = (time_t)seconds;
        char ours[TIMESTAMP_TEXT_BYTES];
        char theirs[64];
        struct tm tm;

        timestamp_format(ours, seconds * 1000000);
        cr_assert_not_null(gmtime_r(&moment, &tm));
        (void)snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02d.000000Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        cr_assert_str_eq(ours, theirs);
    }
}

Test(timestamp, knows_every_leap_year)
{
    for (int year = 1; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        char text[32];
        int64_t us;

        (void)snprintf(text, sizeof text, "%04d-02-29", year);
        cr_assert_eq(timestamp_parse(text, strlen(text), &us) == NULL, leap, "%s", text);
    }
}

Test(timestamp, writes_nothing_outside_four_digit_years)
{
    char text[TIMESTAMP_TEXT_BYTES];

    timestamp_format(text, INT64_MIN);
    cr_assert_str_eq(text, "0001-01-01T00:00:00.000000Z");
    timestamp_format(text, INT64_MAX);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999999Z");
    timestamp_format(text, -1);
    cr_assert_str_eq(text, "1969-12-31T23:59:59.999999Z");
}
