// What goes over one connection: the commands of a job, and their results. Internal to this folder.
#ifndef BROKER_SQL_EXCHANGE_H
#define BROKER_SQL_EXCHANGE_H

#include "broker/sql/session.h"

enum exchange_event {
    EXCHANGE_PENDING, // nothing more to read now
    EXCHANGE_DONE,    // everything that was sent has been answered
    EXCHANGE_BROKEN,  // the connection is of no use any more
};

// Puts the whole job into the output buffer, as one pipeline.
bool exchange_send(struct link *link, const struct job *job);

// Rolls back what a failed job left behind.
bool exchange_send_rollback(struct link *link);

// Reads results as far as they have arrived. Fills job->results and job->rc.
enum exchange_event exchange_read(struct link *link, struct job *job);

// Logs what the server said, without values, and tells what it means for the caller.
enum rc exchange_error(const PGresult *result, const char *what);

#endif
