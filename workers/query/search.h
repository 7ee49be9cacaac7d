// Packets found by what is said in them.
#ifndef WORKERS_QUERY_SEARCH_H
#define WORKERS_QUERY_SEARCH_H

#include "broker/sql/pg.h"
#include "workers/query/page.h"

// Best first, then the last written. Of very many only the last written are weighed; the others
// follow them. What is returned instead of RC_OK is final: done is not called.
enum rc search_packets(struct pg *pg, const char *tenant, const Hr__SearchPackets *request,
                       struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
