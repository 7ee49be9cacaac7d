// packet.history: what happened to one packet, oldest first.
#ifndef WORKERS_QUERY_HISTORY_H
#define WORKERS_QUERY_HISTORY_H

#include "broker/message/problem.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

// request: with a packet_id. arena: lives until done is called, which happens if and only if this
// returns RC_OK. RC_INVALID: packet_id is no UUID. RC_UNAVAILABLE: Postgres is away.
enum rc history_get(struct pg *pg, const char *tenant, const Hr__GetHistory *request,
                    struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
