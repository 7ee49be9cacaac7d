// Calendar arithmetic without the C library's time zones.
//
// Days are counted with the civil-calendar identity that a year starts in March: the leap day is
// then the last day of the year, and the day of a month is a linear function of the month.
#include "broker/base/timestamp.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_SECOND 1000000LL
#define SECONDS_PER_DAY 86400LL
#define MILLISECONDS_ABOVE 2e10 // as seconds that is the year 2603; smaller numbers are seconds

struct reader {
    const char *at;
    const char *end;
};

int64_t timestamp_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted = year - (month <= 2 ? 1 : 0);
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2 ? 1 : 0));
}

void timestamp_format(char text[TIMESTAMP_TEXT_BYTES], int64_t us)
{
    int64_t days;
    int64_t rest;
    int year;
    int month;
    int day;
    int seconds;

    if (us < TIMESTAMP_MIN_US)
        us = TIMESTAMP_MIN_US;
    if (us > TIMESTAMP_MAX_US)
        us = TIMESTAMP_MAX_US;
    days = us / (SECONDS_PER_DAY * US_PER_SECOND);
    rest = us % (SECONDS_PER_DAY * US_PER_SECOND);
    if (rest < 0) {
        rest += SECONDS_PER_DAY * US_PER_SECOND;
        days--;
    }
    civil_from_days(days, &year, &month, &day);
    seconds = (int)(rest / US_PER_SECOND);
    int n =
        snprintf(text, TIMESTAMP_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", year, month,
                 day, seconds / 3600, seconds / 60 % 60, seconds % 60, (int)(rest % US_PER_SECOND));
    assert(n > 0 && n < TIMESTAMP_TEXT_BYTES);
}

static bool digits(struct reader *in, int count, int *value)
{
    int result = 0;

    if (in->end - in->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        if (in->at[i] < '0' || in->at[i] > '9')
            return false;
        result = result * 10 + (in->at[i] - '0');
    }
    in->at += count;
    *value = result;
    return true;
}

static bool one_of(struct reader *in, const char *set)
{
    if (in->at == in->end || *in->at == '\0' || strchr(set, *in->at) == NULL)
        return false;
    in->at++;
    return true;
}

static bool days_in_month(int year, int month, int day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return day >= 1 && day <= lengths[month - 1] + (month == 2 && leap ? 1 : 0);
}

// The fraction after its point: microseconds, further digits cut.
static bool fraction(struct reader *in, int *micros)
{
    int scale = 100000;
    bool any = false;

    *micros = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        *micros += (*in->at - '0') * scale;
        scale /= 10;
        in->at++;
        any = true;
    }
    return any;
}

static bool zone(struct reader *in, int *offset_minutes)
{
    int hours;
    int minutes;
    int sign;

    *offset_minutes = 0;
    if (in->at == in->end || one_of(in, "Zz"))
        return true;
    sign = *in->at == '-' ? -1 : 1;
    if (!one_of(in, "+-") || !digits(in, 2, &hours))
        return false;
    (void)one_of(in, ":");
    if (!digits(in, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_minutes = sign * (hours * 60 + minutes);
    return true;
}

static const char *parse_number(const char *text, size_t len, int64_t *us)
{
    char copy[40];
    char *end;
    double value;

    if (len >= sizeof copy)
        return "number is out of range";
    memcpy(copy, text, len);
    copy[len] = '\0';
    value = strtod(copy, &end);
    if (end != copy + len || !isfinite(value))
        return "invalid character in number";
    if (fabs(value) > MILLISECONDS_ABOVE)
        value /= 1000;
    if (value < (double)TIMESTAMP_MIN_US / 1e6 || value >= (double)TIMESTAMP_MAX_US / 1e6)
        return "number is out of range";
    *us = (int64_t)llround(value * 1e6);
    return NULL;
}

static bool looks_like_number(const char *text, size_t len)
{
    size_t start = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;

    for (size_t i = start; i < len; i++) {
        if ((text[i] < '0' || text[i] > '9') && text[i] != '.' && text[i] != 'e' && text[i] != 'E')
            return false;
    }
    return len > start;
}

const char *timestamp_parse(const char *text, size_t len, int64_t *us)
{
    struct reader in = {text, text + len};
    int year;
    int month;
    int day;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int micros = 0;
    int offset = 0;
    int64_t result;

    if (looks_like_number(text, len))
        return parse_number(text, len, us);
    if (!digits(&in, 4, &year) || !one_of(&in, "-") || !digits(&in, 2, &month) ||
        !one_of(&in, "-") || !digits(&in, 2, &day))
        return "invalid date";
    if (year < 1 || month < 1 || month > 12 || !days_in_month(year, month, day))
        return "date is out of range";
    if (in.at < in.end) {
        if (!one_of(&in, "Tt_ "))
            return "invalid date separator";
        if (!digits(&in, 2, &hour) || !one_of(&in, ":") || !digits(&in, 2, &minute))
            return "invalid time";
        if (one_of(&in, ":")) {
            if (!digits(&in, 2, &second))
                return "invalid seconds";
            if (one_of(&in, ".,") && !fraction(&in, &micros))
                return "invalid fraction of a second";
        }
        if (hour > 23 || minute > 59 || second > 59)
            return "time is out of range";
        if (!zone(&in, &offset))
            return "invalid time zone";
    }
    if (in.at != in.end)
        return "unexpected extra characters at the end";
    result = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600LL + minute * 60LL +
             second - offset * 60LL;
    result = result * US_PER_SECOND + micros;
    if (result < TIMESTAMP_MIN_US || result > TIMESTAMP_MAX_US)
        return "date is out of range";
    *us = result;
    return NULL;
}
