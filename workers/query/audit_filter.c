// Parameters of statements; one that is NULL does not filter.
#include "workers/query/audit_filter.h"

#include "broker/sql/column.h"

#include <string.h>

struct pg_param audit_filter_text(struct arena *arena, bool has, Text text)
{
    if (!has || text.len == 0)
        return pg_null(PG_TEXT);
    return column_key(arena, text.data, text.len);
}

struct pg_param audit_filter_id(bool has, Text text)
{
    struct uuid id;

    if (!has || text.len == 0)
        return pg_null(PG_UUID);
    if (uuid_parse((const char *)text.data, text.len, &id) != NULL)
        memset(&id, 0xff, sizeof id); // no packet has it, as no packet has what was asked for
    return pg_uuid(&id);
}

struct pg_param audit_filter_time(const Google__Protobuf__Timestamp *timestamp)
{
    if (timestamp == NULL)
        return pg_null(PG_TIMESTAMPTZ);
    return pg_timestamptz(wire_timestamp_us(timestamp));
}
