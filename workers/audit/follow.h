// Keeps one shard's stream and Postgres together: everything between the consumer and the
// projection.
#ifndef WORKERS_AUDIT_FOLLOW_H
#define WORKERS_AUDIT_FOLLOW_H

#include "broker/base/keyring.h"
#include "broker/run/run.h"

#include <stdbool.h>

struct follower;

struct follow_config {
    struct run *run;
    const char *postgres_url;
    unsigned shard;
    const struct keyring *ring; // seals the rows
    const char *heads_file;     // NULL: none
    int64_t heads_seconds;      // between two rounds of signed heads
    int64_t check_seconds;      // between two checks that the stream is still the same
};

// Starts and keeps trying: no server has to be there. What config points to must outlive it.
// RC_CONFIG: postgres_url cannot be read.
enum rc follow_open(struct follower **follower, const struct follow_config *config) MUST_CHECK;

// The end is near: publishes the heads of what has moved since the last round.
void follow_drain(struct follower *follower);

// Something that a drain should wait for?
bool follow_is_busy(const struct follower *follower);

// What was not committed is delivered again to the next one. NULL is allowed.
void follow_close(struct follower *follower);

// It follows, or stands by while another process does. Otherwise *reason is set to a static phrase.
bool follow_is_ready(const struct follower *follower, const char **reason);

#endif
