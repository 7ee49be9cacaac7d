// Values on their way to Postgres, in its binary format.
#ifndef BROKER_SQL_PARAM_H
#define BROKER_SQL_PARAM_H

#include "broker/base/buf.h"
#include "broker/base/id.h"
#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The server's numbers for the types we send.
enum pg_type {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_TIMESTAMPTZ = 1184,
    PG_UUID = 2950,
};

struct pg_param {
    unsigned type;             // of the value: an enum pg_type, or of an array of them
    bool null;                 // there is no value
    const void *data;          // borrowed; NULL: the value is in fixed
    size_t len;                // of the value in bytes
    uint8_t fixed[UUID_BYTES]; // a short value
};

struct pg_param pg_null(enum pg_type type);
struct pg_param pg_bool(bool value);
struct pg_param pg_int4(int32_t value);
struct pg_param pg_int8(int64_t value);
struct pg_param pg_timestamptz(int64_t us); // since 1970
struct pg_param pg_uuid(const struct uuid *value);
struct pg_param pg_text(const void *data, size_t len); // UTF-8 without NUL
struct pg_param pg_bytea(const void *data, size_t len);

// What libpq sends: the bytes, or NULL for SQL's null.
const char *pg_param_bytes(const struct pg_param *param);

// A one-dimensional array under construction. Appends cannot fail; pg_array_param tells whether the
// whole is fit to be sent.
struct pg_array {
    struct buf buf;
    enum pg_type element;
    int32_t count;
};

void pg_array_init(struct pg_array *array, enum pg_type element);
void pg_array_fini(struct pg_array *array);

// Empties it and keeps the memory.
void pg_array_reset(struct pg_array *array);

// The value's type must be the array's element type.
void pg_array_append(struct pg_array *array, struct pg_param value);

// Walks over what was appended, as it will be sent: *at is 0 before the first, and moves on with
// every call. False: there are no more. A null reads as nothing.
bool pg_array_next(const struct pg_array *array, size_t *at, const void **data, size_t *len);

// A number or a moment out of such bytes.
int64_t pg_bytes_int(const void *data, size_t len);
int64_t pg_bytes_timestamp_us(const void *data, size_t len);

// *param borrows from the array until the next append or reset. RC_TOO_LARGE: more than the server
// takes in one value.
enum rc pg_array_param(struct pg_array *array, struct pg_param *param) MUST_CHECK;

#endif
