// How far Postgres is known to be: what lies behind it must not leave the stream.
#ifndef WORKERS_EXPIRY_PROJECTED_H
#define WORKERS_EXPIRY_PROJECTED_H

#include "broker/run/run.h"

struct projected;

struct projected *projected_open(struct run *run);

// NULL is allowed.
void projected_close(struct projected *projected);

// Does Postgres have everything up to sequence? When that is not known, it is asked for, and the
// answer is no for now.
bool projected_has(struct projected *projected, uint64_t sequence);

#endif
