// A rail for unit tests of what is asynchronous: connection, clock, timers and the run are replaced
// at link time, and the test decides what arrives, in which order, and what time it is.
//
// The program of a test that links it has the fakes of conn.h, msg.h, alarm.h, of run_loop and its
// like, of libuv's timers, and of timestamp_now_us and clock_now_ns.
#ifndef TESTS_UNIT_FAKE_RAIL_H
#define TESTS_UNIT_FAKE_RAIL_H

#include "broker/nats/conn.h"
#include "broker/run/run.h"

#include <stdbool.h>
#include <stdint.h>

// For a suite's init and fini. The time begins at FAKE_START_US.
void fake_rail_open(void);
void fake_rail_close(void);

#define FAKE_START_US 1700000000000000LL

struct run *fake_run(void);
struct conn *fake_conn(void);
uv_loop_t *fake_loop(void);

// --- time ----------------------------------------------------------------------------------------

int64_t fake_now_us(void);

// Lets time pass: libuv's timers and the alarm ring when they are due, in order.
void fake_pass_us(int64_t us);

// When the alarm is set to ring; ALARM_NEVER: it is not.
int64_t fake_alarm_us(void);

// --- the connection ------------------------------------------------------------------------------

// What was published, oldest first; kept until the rail is closed.
struct fake_sent {
    char *subject;
    char *reply; // NULL: none
    char *data;
    size_t len;
};

size_t fake_sent_count(void);
const struct fake_sent *fake_sent(size_t index);

// Subscriptions that are open now.
size_t fake_subscription_count(void);

// Up or down, and those who listen to that are called.
void fake_set_up(bool up);

// A message arrives at every subscription that its subject matches; returns how many those were.
size_t fake_deliver(const char *subject, const char *data, size_t len);
size_t fake_deliver_with(const char *subject, const char *reply, const struct header *headers,
                         size_t header_count, const char *data, size_t len);

// As JetStream delivers: to those who subscribe to inbox, with another subject.
size_t fake_deliver_by(const char *inbox, const char *subject, const char *reply, const char *data,
                       size_t len);

// The server's word that nobody took the message whose reply subject this is.
size_t fake_deliver_no_responders(const char *subject);

#endif
