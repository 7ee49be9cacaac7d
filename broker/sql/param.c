// Values in Postgres' binary format: big-endian numbers, and an array as a header and its elements.
#include "broker/sql/param.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_2000_US 946684800000000LL // Postgres counts from 2000-01-01
#define ARRAY_HEADER_BYTES 20           // dimensions, has-nulls, element type, length, lower bound
#define ARRAY_MAX_BYTES (128u << 20)    // far below the 1 GB that the server takes in one message

static void put_be(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static struct pg_param fixed(enum pg_type type, uint64_t value, int bytes)
{
    struct pg_param param = {.type = type, .len = (size_t)bytes};

    put_be(param.fixed, value, bytes);
    return param;
}

struct pg_param pg_null(enum pg_type type)
{
    return (struct pg_param){.type = type, .null = true};
}

struct pg_param pg_bool(bool value)
{
    return fixed(PG_BOOL, value, 1);
}

struct pg_param pg_int4(int32_t value)
{
    return fixed(PG_INT4, (uint32_t)value, 4);
}

struct pg_param pg_int8(int64_t value)
{
    return fixed(PG_INT8, (uint64_t)value, 8);
}

struct pg_param pg_timestamptz(int64_t us)
{
    return fixed(PG_TIMESTAMPTZ, (uint64_t)(us - EPOCH_2000_US), 8);
}

struct pg_param pg_uuid(const struct uuid *value)
{
    struct pg_param param = {.type = PG_UUID, .len = UUID_BYTES};

    memcpy(param.fixed, value->bytes, UUID_BYTES);
    return param;
}

struct pg_param pg_text(const void *data, size_t len)
{
    return (struct pg_param){.type = PG_TEXT, .data = len > 0 ? data : "", .len = len};
}

struct pg_param pg_bytea(const void *data, size_t len)
{
    return (struct pg_param){.type = PG_BYTEA, .data = len > 0 ? data : "", .len = len};
}

const char *pg_param_bytes(const struct pg_param *param)
{
    if (param->null)
        return NULL;
    return param->data != NULL ? param->data : (const char *)param->fixed;
}

static unsigned array_type(enum pg_type element)
{
    switch (element) {
    case PG_BOOL:
        return 1000;
    case PG_BYTEA:
        return 1001;
    case PG_INT4:
        return 1007;
    case PG_TEXT:
        return 1009;
    case PG_INT8:
        return 1016;
    case PG_TIMESTAMPTZ:
        return 1185;
    case PG_UUID:
        return 2951;
    }
    abort(); // no such enum pg_type
}

void pg_array_init(struct pg_array *array, enum pg_type element)
{
    *array = (struct pg_array){.element = element};
    pg_array_reset(array);
}

void pg_array_fini(struct pg_array *array)
{
    buf_fini(&array->buf);
}

void pg_array_reset(struct pg_array *array)
{
    buf_reset(&array->buf);
    array->count = 0;
    memset(buf_reserve(&array->buf, ARRAY_HEADER_BYTES), 0, ARRAY_HEADER_BYTES);
    array->buf.len += ARRAY_HEADER_BYTES;
}

void pg_array_append(struct pg_array *array, struct pg_param value)
{
    size_t len = value.null ? 0 : value.len;
    uint8_t *out;

    assert(value.type == array->element);
    // Already more than can be sent: pg_array_param will say so, and no size overflows until then.
    if (array->buf.len > ARRAY_MAX_BYTES)
        return;
    if (len > ARRAY_MAX_BYTES)
        len = ARRAY_MAX_BYTES;
    out = buf_reserve(&array->buf, 4 + len);
    put_be(out, value.null ? UINT32_MAX : (uint32_t)len, 4);
    if (len > 0)
        memcpy(out + 4, pg_param_bytes(&value), len);
    array->buf.len += 4 + len;
    array->buf.data[7] = (char)(array->buf.data[7] | value.null);
    array->count++;
}

int64_t pg_bytes_int(const void *data, size_t len)
{
    const uint8_t *in = data;
    uint64_t value = 0;

    assert(len == 4 || len == 8);
    for (size_t i = 0; i < len; i++)
        value = value << 8 | in[i];
    return len == 4 ? (int32_t)value : (int64_t)value;
}

int64_t pg_bytes_timestamp_us(const void *data, size_t len)
{
    return pg_bytes_int(data, len) + EPOCH_2000_US;
}

bool pg_array_next(const struct pg_array *array, size_t *at, const void **data, size_t *len)
{
    int64_t size;

    if (*at == 0)
        *at = ARRAY_HEADER_BYTES;
    if (*at >= array->buf.len)
        return false;
    size = pg_bytes_int(array->buf.data + *at, 4);
    *len = size > 0 ? (size_t)size : 0;
    *data = array->buf.data + *at + 4;
    *at += 4 + *len;
    return true;
}

enum rc pg_array_param(struct pg_array *array, struct pg_param *param)
{
    uint8_t *header = (uint8_t *)array->buf.data;

    if (array->buf.len > ARRAY_MAX_BYTES)
        return RC_TOO_LARGE;
    put_be(header, 1, 4);
    put_be(header + 8, array->element, 4);
    put_be(header + 12, (uint32_t)array->count, 4);
    put_be(header + 16, 1, 4);
    *param = (struct pg_param){
        .type = array_type(array->element), .data = array->buf.data, .len = array->buf.len};
    return RC_OK;
}
