// Reading binary results.
#include "broker/sql/row.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_2000_US 946684800000000LL // Postgres counts from 2000-01-01

int pg_rows(const struct pg_result *result)
{
    return PQntuples(result);
}

int64_t pg_affected(const struct pg_result *result)
{
    // libpq forgot the const.
    return strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
}

bool pg_is_null(const struct pg_result *result, int row, int column)
{
    return PQgetisnull(result, row, column) == 1;
}

bool pg_get_bool(const struct pg_result *result, int row, int column)
{
    return pg_get_int(result, row, column) != 0;
}

int64_t pg_get_int(const struct pg_result *result, int row, int column)
{
    const unsigned char *in = (const unsigned char *)PQgetvalue(result, row, column);
    int len = PQgetlength(result, row, column);
    uint64_t value = 0;

    if (pg_is_null(result, row, column))
        return 0;
    assert(len == 1 || len == 2 || len == 4 || len == 8);
    for (int i = 0; i < len; i++)
        value = value << 8 | in[i];
    if (len == 2)
        return (int16_t)value;
    if (len == 4)
        return (int32_t)value;
    return (int64_t)value;
}

int64_t pg_get_timestamp_us(const struct pg_result *result, int row, int column)
{
    if (pg_is_null(result, row, column))
        return 0;
    return pg_get_int(result, row, column) + EPOCH_2000_US;
}

struct uuid pg_get_uuid(const struct pg_result *result, int row, int column)
{
    struct uuid uuid = {{0}};

    if (!pg_is_null(result, row, column)) {
        assert(PQgetlength(result, row, column) == UUID_BYTES);
        memcpy(uuid.bytes, PQgetvalue(result, row, column), UUID_BYTES);
    }
    return uuid;
}

const void *pg_get_bytes(const struct pg_result *result, int row, int column, size_t *len)
{
    *len = (size_t)PQgetlength(result, row, column);
    return PQgetvalue(result, row, column);
}
