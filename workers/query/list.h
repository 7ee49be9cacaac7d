// packet.list: pages of packets, newest first.
#ifndef WORKERS_QUERY_LIST_H
#define WORKERS_QUERY_LIST_H

#include "broker/message/problem.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

// pg: its sessions have force_custom_plan set, see list.c. request: its numbers are within their
// bounds; borrowed until this returns. arena: lives until done is called, which happens if and only
// if this returns RC_OK. RC_REFUSED: problem says why. RC_UNAVAILABLE: Postgres is away.
enum rc list_packets(struct pg *pg, const char *tenant, const Hr__ListPackets *request,
                     struct arena *arena, struct problem *problem, query_done done,
                     void *ctx) MUST_CHECK;

#endif
