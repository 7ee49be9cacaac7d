// What serve tells the person who started it, or the collector of their logs.
#ifndef CLIENTS_CLI_SERVE_SAY_H
#define CLIENTS_CLI_SERVE_SAY_H

#include "broker/base/log.h"

#include <stdbool.h>

// json: log lines of broker/base/log.h instead of short lines for people.
void say_init(bool json);

// One line on standard error. event is fixed and dotted and stands in the JSON line; who is the
// program or file that the line is about. The first word of the message holds no '='.
void say(enum log_level level, const char *event, const char *who, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Shows the end of a log file, so that a person need not look for it. path may be missing.
void say_tail(const char *path);

#endif
