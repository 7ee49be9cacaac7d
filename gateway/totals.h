// The rail's totals in the metrics: what has been counted by everyone, in the projection.
//
// Everything else among the metrics is this program's own. Totals are asked for when somebody reads
// the metrics, and kept for a moment, so that reading them often costs the database nothing.
#ifndef GATEWAY_TOTALS_H
#define GATEWAY_TOTALS_H

#include "broker/base/buf.h"
#include "broker/run/run.h"

struct totals;

struct totals *totals_create(struct run *run);
void totals_destroy(struct totals *totals); // NULL is allowed; run has closed its requests by then

// Calls done once, perhaps before it returns: with totals that are a few seconds old at most, or
// with none when nobody can say.
void totals_refresh(struct totals *totals, void (*done)(void *ctx), void *ctx);

// Prometheus' text format. by_tenant: a sample for each tenant; otherwise one of all, so that who
// may not know the tenants does not learn their names. Names without samples when there are none.
void totals_write(const struct totals *totals, struct buf *out, bool by_tenant);

#endif
