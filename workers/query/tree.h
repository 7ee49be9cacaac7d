// The tree that a packet belongs to: its ancestors, and all that descends from the first of them.
#ifndef WORKERS_QUERY_TREE_H
#define WORKERS_QUERY_TREE_H

#include "broker/message/wire.h"
#include "broker/sql/pg.h"
#include "workers/query/page.h"

#define TREE_NODES_MAX 10000 // in one answer, and levels that are walked

// request: checked, its packet_id is set. done is called if and only if this returns RC_OK; the
// arena must live until then.
enum rc tree_get(struct pg *pg, const char *tenant, const Hr__GetTree *request, struct arena *arena,
                 query_done done, void *ctx) MUST_CHECK;

#endif
