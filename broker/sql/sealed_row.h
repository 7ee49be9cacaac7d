// Sealed rows out of packet_events, page by page.
#ifndef BROKER_SQL_SEALED_ROW_H
#define BROKER_SQL_SEALED_ROW_H

#include "broker/seal/seal.h"
#include "broker/sql/row.h"

#define SEALED_ROW_COLUMNS                                                                         \
    "shard, epoch, seq, part, number, at, event_id, packet_id, tenant, type, actor, key_id,"       \
    " details, record, mac_key, mac"

#define SEALED_ROW_BYTES "octet_length(record) + octet_length(details)"

// A statement for the first LIMIT rows of those that match WHERE, in the order of the chains; fewer
// when their records and details come to BYTES, but at least one. All three are SQL. The lengths
// are known without fetching a value that is stored apart.
#define SEALED_ROW_PAGE(WHERE, LIMIT, BYTES)                                                       \
    "SELECT " SEALED_ROW_COLUMNS " FROM (SELECT *, " SEALED_ROW_BYTES                              \
    " AS own, sum(" SEALED_ROW_BYTES ") OVER (ORDER BY shard, epoch, seq, part) AS total FROM"     \
    " (SELECT " SEALED_ROW_COLUMNS " FROM packet_events WHERE " WHERE                              \
    " ORDER BY shard, epoch, seq, part LIMIT " LIMIT ") AS page) AS sized"                         \
    " WHERE total - own < " BYTES " ORDER BY shard, epoch, seq, part"

// The texts are borrowed from rows.
void sealed_row_read(struct seal_row *sealed, const struct pg_result *rows, int row);

#endif
