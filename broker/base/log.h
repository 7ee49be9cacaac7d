// One line per event on standard error, written with one write(2).
//
//   log_info("job.settled", "job_id=%s ms=%lld", id, ms);
//
// The event is a fixed dotted name. The rest is key=value pairs; a value that may contain blanks is
// written as key="%s". Never a payload, never a secret.
#ifndef BROKER_BASE_LOG_H
#define BROKER_BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_DEBUG, // each message
    LOG_INFO,  // lifecycle and failures that are normal
    LOG_WARN,  // we coped
    LOG_ERROR, // act now
    LOG_LEVELS,
};

// Not thread-safe: call once, before the first thread is started.
// program: borrowed for the life of the program, stands in every line.
void log_init(const char *program, enum log_level level, bool json);

// "debug", "info", "warn", "error". Returns false and leaves *level alone for anything else.
bool log_level_parse(const char *name, enum log_level *level);

// Any thread. Lines longer than 2 KiB are cut.
void log_write(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// As log_write, at most LOG_PER_SECOND lines of one event in a second: what somebody sends us must
// not fill the disk. How many were left out stands in a line log.suppressed of its own, written
// with the next line of any event.
#define LOG_PER_SECOND 20
void log_bounded(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_bounded(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_bounded(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_bounded(LOG_ERROR, __VA_ARGS__)

#endif
