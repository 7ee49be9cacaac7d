// Rings at a moment of the wall clock, also when that clock is set in between.
//
// libuv's timers run on the monotonic clock: a deadline measured in hours would be missed by as
// much as the wall clock was corrected meanwhile.
#ifndef BROKER_RAIL_ALARM_H
#define BROKER_RAIL_ALARM_H

#include <stdint.h>
#include <uv.h>

struct alarm;

#define ALARM_NEVER INT64_MAX

// ring: loop thread; perhaps too early, since a change of the clock rings as well.
struct alarm *alarm_open(uv_loop_t *loop, void (*ring)(void *ctx), void *ctx);

// Replaces what was set. A moment that has passed rings at once; ALARM_NEVER: not at all.
void alarm_set(struct alarm *alarm, int64_t at_us);

// NULL is allowed. The memory goes when the loop has run once more.
void alarm_close(struct alarm *alarm);

#endif
