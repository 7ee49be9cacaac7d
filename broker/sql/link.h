// One connection to Postgres. Internal to this folder: pg.c owns the links and hands them their
// work.
#ifndef BROKER_SQL_LINK_H
#define BROKER_SQL_LINK_H

#include "broker/sql/session.h"

void job_destroy(struct job *job);

void link_open(struct link *link, const struct link_spec *spec);

// on_closed follows when the loop has let go of everything. A job in hand gets RC_CLOSED at once.
void link_close(struct link *link);

// Only while LINK_IDLE. Takes the job, unless it returns false: the connection is gone.
bool link_start(struct link *link, struct job *job);

// Calls on_done and frees the job.
void job_finish(struct job *job, enum rc rc);

#endif
