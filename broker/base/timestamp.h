// Moments as microseconds since 1970-01-01T00:00:00Z, and their texts.
#ifndef BROKER_BASE_TIMESTAMP_H
#define BROKER_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMESTAMP_TEXT_BYTES 32 // enough for timestamp_format and its NUL

// The moments that have a four-digit year; nothing else is accepted or written.
#define TIMESTAMP_MIN_US (-62135596800000000LL) // 0001-01-01T00:00:00Z
#define TIMESTAMP_MAX_US 253402300799999999LL   // 9999-12-31T23:59:59.999999Z

#define US_PER_SECOND 1000000LL

// Wall clock: may jump.
int64_t timestamp_now_us(void);

// Monotonic clock: for time-outs and durations; meaningless across restarts.
int64_t clock_now_ns(void);

// Writes "2026-11-20T21:29:05.634694Z", always UTC, always six digits. us is clamped to the range
// above.
void timestamp_format(char text[TIMESTAMP_TEXT_BYTES], int64_t us);

// Reads RFC 3339 generously: 'T', 't', '_' or a blank between date and time, seconds optional, any
// number of fraction digits (cut at microseconds), zone Z, +HH:MM, +HHMM or none (UTC), date alone
// (midnight), or a number of seconds, or of milliseconds when it is larger than 20,000,000,000.
// Returns NULL and sets *us, or returns why not (a static phrase) and leaves *us alone.
const char *timestamp_parse(const char *text, size_t len, int64_t *us);

#endif
