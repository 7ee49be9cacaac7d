// Deliveries of webhooks into Postgres: the second stream that this worker follows.
//
// One process does it at a time, by an advisory lock. The place is moved in the transaction that
// writes the rows, and a row only moves forward, so nothing is lost and nothing counts twice.
#ifndef WORKERS_AUDIT_DELIVERIES_H
#define WORKERS_AUDIT_DELIVERIES_H

#include "broker/run/run.h"

struct deliveries;

// Starts and keeps trying: no server has to be there, and the schema may still be older. days: how
// long one is kept there. RC_CONFIG: postgres_url cannot be read.
enum rc deliveries_open(struct deliveries **deliveries, struct run *run, const char *postgres_url,
                        int64_t days) MUST_CHECK;

// NULL is allowed.
void deliveries_close(struct deliveries *deliveries);

#endif
