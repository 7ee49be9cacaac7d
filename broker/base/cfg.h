// Configuration from the environment, one table per program.
//
// The same table loads, validates, prints --help and docs/config.md, so they cannot disagree.
#ifndef BROKER_BASE_CFG_H
#define BROKER_BASE_CFG_H

#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cfg_type {
    CFG_TYPE_STR,
    CFG_TYPE_I64,
    CFG_TYPE_BOOL,
};

struct cfg_key {
    const char *name;     // of the environment variable; NULL ends a table
    const char *fallback; // NULL: the variable must be set
    const char *help;
    enum cfg_type type;
    size_t offset; // of the field in the program's struct
    int64_t min;
    int64_t max;
};

#define CFG_STR(type, field, name, fallback, help)                                                 \
    {                                                                                              \
        name, fallback, help, CFG_TYPE_STR, offsetof(type, field), 0, 0                            \
    }
#define CFG_I64(type, field, name, fallback, min, max, help)                                       \
    {                                                                                              \
        name, fallback, help, CFG_TYPE_I64, offsetof(type, field), min, max                        \
    }
#define CFG_BOOL(type, field, name, fallback, help)                                                \
    {                                                                                              \
        name, fallback, help, CFG_TYPE_BOOL, offsetof(type, field), 0, 0                           \
    }
#define CFG_END                                                                                    \
    {                                                                                              \
        NULL, NULL, NULL, CFG_TYPE_STR, 0, 0, 0                                                    \
    }

// Fills the fields of target: const char * (borrowed from the environment), int64_t or bool.
// Reports every bad key on standard error, without its value, which may be a secret.
// RC_CONFIG: at least one was bad.
enum rc cfg_load(const struct cfg_key *keys, void *target) MUST_CHECK;

// As man pages show settings.
void cfg_help(const struct cfg_key *keys, FILE *out);

// As rows of a Markdown table.
void cfg_markdown(const struct cfg_key *keys, FILE *out);

#endif
