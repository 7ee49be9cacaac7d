// Values that came back from Postgres, in its binary format.
#ifndef BROKER_SQL_ROW_H
#define BROKER_SQL_ROW_H

#include "broker/base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_result; // libpq's own; valid during the callback that it is passed to

// Rows and columns are counted from 0. Asking for a column as another type than it has is a bug.

int pg_rows(const struct pg_result *result);

// Rows that an INSERT, UPDATE or DELETE touched.
int64_t pg_affected(const struct pg_result *result);

bool pg_is_null(const struct pg_result *result, int row, int column);

// A null reads as false, 0, or nothing.
bool pg_get_bool(const struct pg_result *result, int row, int column);
int64_t pg_get_int(const struct pg_result *result, int row, int column); // int2, int4 or int8
int64_t pg_get_timestamp_us(const struct pg_result *result, int row, int column); // since 1970
struct uuid pg_get_uuid(const struct pg_result *result, int row, int column);

// text or bytea; a NUL stands behind the last byte. Valid as long as the result is.
const void *pg_get_bytes(const struct pg_result *result, int row, int column, size_t *len);

#endif
