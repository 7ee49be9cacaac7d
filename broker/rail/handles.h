// What a running program gives to its parts. run/run.c makes them; everything in this folder takes
// them, and knows no more of the program than this.
#ifndef BROKER_RAIL_HANDLES_H
#define BROKER_RAIL_HANDLES_H

#include "broker/nats/request.h"
#include "broker/rail/store.h"

#include <uv.h>

struct run;

uv_loop_t *run_loop(struct run *run);
struct conn *run_conn(struct run *run);
struct requests *run_requests(struct run *run);
struct store *run_store(struct run *run);

// Of the program, in logs; also the second token of its reply subjects.
const char *run_name(const struct run *run);

#endif
