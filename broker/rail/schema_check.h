// Asks the schema workers whether a context fits a schema.
#ifndef BROKER_RAIL_SCHEMA_CHECK_H
#define BROKER_RAIL_SCHEMA_CHECK_H

#include "broker/rail/change.h"

// Loop thread, exactly once. problem: PROBLEM_VALIDATION: there is no such schema, or the context
// does not fit it; PROBLEM_UNAVAILABLE: no schema worker answers. NULL: it fits.
typedef void (*schema_checked_fn)(void *ctx, const struct problem *problem);

// Everything must live until done is called, which may be before this returns.
void schema_check(struct store *store, const char *tenant, Text schema_id, Hr__Context *context,
                  struct arena *arena, schema_checked_fn done, void *ctx);

// The check of a create that names a schema; NULL for one that does not.
change_check_fn schema_check_of_create(const Hr__CreatePacket *request);

#endif
