// Which credentials belong to which group, out of the bucket of keys.
#ifndef WORKERS_HITL_ELECTORS_H
#define WORKERS_HITL_ELECTORS_H

#include "broker/packet/electorate.h"
#include "broker/rail/bucket.h"

// The electorate of one tenant, in the arena; it looks into keys whenever it is asked.
const struct electorate *electors_of(const struct bucket *keys, const char *tenant,
                                     struct arena *arena);

#endif
