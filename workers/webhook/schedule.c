// Delays are the ones of the setting, with jitter; the receiver may ask for longer, in seconds or
// with a date (RFC 9110, 10.2.3).
#include "workers/webhook/schedule.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JITTER 0.1
#define DELAY_MAX_SECONDS (7 * 86400.0)
#define DATE_BYTES 29 // "Sun, 06 Nov 1994 08:49:37 GMT"

const char *schedule_parse(struct schedule *schedule, const char *text)
{
    *schedule = (struct schedule){.count = 0};
    while (*text != '\0') {
        char *end;
        double seconds = strtod(text, &end);

        if (end == text || !isfinite(seconds) || seconds < 0 || seconds > DELAY_MAX_SECONDS)
            return "not a number of seconds up to a week";
        if (*end != '\0' && *end != ',')
            return "not a list of seconds, separated by commas";
        if (schedule->count == SCHEDULE_MAX)
            return "more than 16 retries";
        schedule->delay_us[schedule->count++] = (int64_t)(seconds * 1e6);
        text = *end == ',' ? end + 1 : end;
    }
    return NULL;
}

bool schedule_next(const struct schedule *schedule, int64_t attempt, double jitter,
                   int64_t asked_us, int64_t *delay_us)
{
    int64_t delay;

    if (attempt < 1 || (uint64_t)attempt > schedule->count)
        return false;
    delay = schedule->delay_us[attempt - 1];
    delay += (int64_t)((double)delay * JITTER * jitter);
    *delay_us = asked_us > delay ? asked_us : delay;
    return true;
}

// Two or four digits at a fixed place; -1: it is something else.
static int number_at(const char *text, size_t digits)
{
    int value = 0;

    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int64_t days_before(int year, int month, int day)
{
    // Years that begin in March: the leap day is the last one.
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool read_date(const char *text, int64_t *us)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int day = number_at(text + 5, 2);
    int year = number_at(text + 12, 4);
    int hour = number_at(text + 17, 2);
    int minute = number_at(text + 20, 2);
    int second = number_at(text + 23, 2);
    int month = 0;

    while (month < 12 && memcmp(months + month * 3, text + 8, 3) != 0)
        month++;
    if (month == 12 || day < 1 || day > 31 || year < 1970 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60 || text[3] != ',' || text[4] != ' ' ||
        text[7] != ' ' || text[11] != ' ' || text[16] != ' ' || text[19] != ':' ||
        text[22] != ':' || memcmp(text + 25, " GMT", 4) != 0)
        return false;
    *us = (days_before(year, month + 1, day) * 86400 + hour * 3600 + minute * 60 + second) *
          1000000LL;
    return true;
}

int64_t schedule_retry_after(const char *text, size_t len, int64_t now_us)
{
    int64_t delay = 0;
    int64_t at_us;

    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0')
        len--;
    if (len > 0 && len <= 9 && number_at(text, len) >= 0)
        delay = number_at(text, len) * 1000000LL;
    else if (len == DATE_BYTES && read_date(text, &at_us))
        delay = at_us - now_us;
    if (delay < 0)
        return 0;
    return delay < RETRY_AFTER_MAX_US ? delay : RETRY_AFTER_MAX_US;
}
