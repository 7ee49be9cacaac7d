// The filters that the audit log's list and its export share.
#ifndef WORKERS_QUERY_AUDIT_FILTER_H
#define WORKERS_QUERY_AUDIT_FILTER_H

#include "broker/message/wire.h"
#include "broker/sql/param.h"

// The tenant, and filters of which those that are null drop out, as in list.c.
#define AUDIT_FILTER                                                                               \
    "tenant = $1 AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR actor = $3)"         \
    " AND ($4::uuid IS NULL OR packet_id = $4) AND ($5::timestamptz IS NULL OR at >= $5)"          \
    " AND ($6::timestamptz IS NULL OR at <= $6)"

#define AUDIT_FILTERS 6 // parameters of it

struct pg_param audit_filter_text(struct arena *arena, bool has, Text text);
struct pg_param audit_filter_id(bool has, Text text);
struct pg_param audit_filter_time(const Google__Protobuf__Timestamp *timestamp);

#endif
