// What became of webhooks' deliveries.
#ifndef WORKERS_QUERY_DELIVERIES_H
#define WORKERS_QUERY_DELIVERIES_H

#include "broker/sql/pg.h"
#include "workers/query/page.h"

// What each returns instead of RC_OK is final: done is not called.

// A DeliveryList of one hook, newest first; an unknown hook has none.
enum rc deliveries_list(struct pg *pg, const char *tenant, const Hr__ListDeliveries *request,
                        struct arena *arena, query_done done, void *ctx) MUST_CHECK;

// A DlqList of the tenant, the last one first.
enum rc deliveries_dlq(struct pg *pg, const char *tenant, const Hr__ListDlq *request,
                       struct arena *arena, query_done done, void *ctx) MUST_CHECK;

// A DeliveryDetail; RC_NOT_FOUND: there is no such one.
enum rc deliveries_get(struct pg *pg, const char *tenant, const Hr__GetDelivery *request,
                       struct arena *arena, query_done done, void *ctx) MUST_CHECK;

#endif
