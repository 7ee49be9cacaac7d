// JSON Schema: the one C++ library of the rail behind a C interface. What it supports, and what it
// refuses, is in docs/schemas.md.
//
// No exception leaves it. It knows nothing of packets and tenants.
#ifndef WORKERS_SCHEMA_VALIDATOR_H
#define WORKERS_SCHEMA_VALIDATOR_H

#include "broker/base/rc.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// A schema made ready. One thread at a time may use any of them.
struct validator;

struct validator_words {
    char text[512];  // UTF-8, cut where it would be longer
    char place[256]; // where: in a schema "/properties/a", in an instance "a.0"; empty: at the top
};

// schema: one JSON value of at most 256 levels, as json_is_valid has it. RC_INVALID: this is no
// schema, or one that cannot be honoured; why says so. Others are not returned.
enum rc validator_create(struct validator **validator, struct validator_words *why,
                         const void *schema, size_t len) MUST_CHECK;

// NULL is allowed.
void validator_destroy(struct validator *validator);

// instance: likewise. RC_REFUSED: it does not fit; why says what is wrong first. RC_TOO_LARGE: to
// tell would take too much work, which depends on schema and instance alone; why says so.
enum rc validator_check(const struct validator *validator, struct validator_words *why,
                        const void *instance, size_t len) MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
