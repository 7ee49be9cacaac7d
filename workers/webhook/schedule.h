// When a delivery that failed is tried again. Pure.
#ifndef WORKERS_WEBHOOK_SCHEDULE_H
#define WORKERS_WEBHOOK_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_MAX 16
#define RETRY_AFTER_MAX_US (6 * 3600 * 1000000LL) // of what an endpoint may ask for

struct schedule {
    int64_t delay_us[SCHEDULE_MAX]; // before the first retry, the second, ...
    size_t count;
};

// "1,5,30": seconds, with fractions if need be. Returns NULL, or what is wrong with it.
const char *schedule_parse(struct schedule *schedule, const char *text);

// How long after the attempt with this number (1 is the first) the next one comes. jitter: 0..1,
// random; a tenth of the delay is left to it, so that what failed together does not come together.
// asked_us: what the endpoint asked for; 0: nothing. False: there is no next one.
bool schedule_next(const struct schedule *schedule, int64_t attempt, double jitter,
                   int64_t asked_us, int64_t *delay_us);

// The value of a Retry-After header: seconds, or a date (of which only RFC 9110's own form counts).
// Microseconds from now_us, at most RETRY_AFTER_MAX_US; 0: it is neither, or in the past.
int64_t schedule_retry_after(const char *text, size_t len, int64_t now_us);

#endif
