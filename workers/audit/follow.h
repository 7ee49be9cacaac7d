// Keeps one shard's stream and Postgres together: everything between the consumer and the
// projection.
#ifndef WORKERS_AUDIT_FOLLOW_H
#define WORKERS_AUDIT_FOLLOW_H

#include "broker/run.h"

#include <stdbool.h>

struct follower;

// Starts and keeps trying: no server has to be there. postgres_url must outlive it.
// RC_CONFIG: postgres_url cannot be read.
enum rc follow_open(struct follower **follower, struct run *run, const char *postgres_url,
                    unsigned shard) MUST_CHECK;

// What was not committed is delivered again to the next one. NULL is allowed.
void follow_close(struct follower *follower);

// It follows, or stands by while another process does. Otherwise *reason is set to a static phrase.
bool follow_is_ready(const struct follower *follower, const char **reason);

#endif
