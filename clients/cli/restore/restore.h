// Puts packets back into the stream that Postgres has and the stream has not, or not any more.
#ifndef CLIENTS_CLI_RESTORE_RESTORE_H
#define CLIENTS_CLI_RESTORE_RESTORE_H

#include "broker/base/rc.h"
#include "clients/cli/progress.h"

#include <stdbool.h>
#include <stdint.h>

struct restore_options {
    const char *postgres_url;
    const char *nats_url; // with credentials of somebody who may append
    bool dry_run;         // only count
};

struct restore_outcome {
    uint64_t packets;  // in Postgres
    uint64_t there;    // the stream has that version, or a newer one
    uint64_t restored; // put back, or would be
    uint64_t failed;   // could not be; logged
};

// Reads all packets, oldest key first, and puts back the last version of each that is missing.
// Every append is on condition, so it may run again, run twice, or run while agents work. RC_OK
// also when some failed. RC_UNAVAILABLE, RC_TIMEOUT: Postgres or NATS cannot be reached; logged.
enum rc restore_run(struct restore_outcome *outcome, const struct restore_options *options,
                    struct progress *progress) MUST_CHECK;

#endif
