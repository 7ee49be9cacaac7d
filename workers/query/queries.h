// The queries of the query worker: from a command to a question to Postgres, and from its rows to
// an answer.
#ifndef WORKERS_QUERY_QUERIES_H
#define WORKERS_QUERY_QUERIES_H

#include "broker/rail/bucket.h"
#include "broker/rail/service.h"
#include "broker/sql/pg.h"
#include "workers/query/barrier.h"

// What the queries ask; the ctx of their handlers.
struct queries {
    struct pg *pg;
    struct pg *exports; // a connection of their own, so that lists do not wait for them
    struct barrier *barrier;
    struct bucket *hooks;
    struct bucket *keys;
    int64_t connections; // to Postgres, for the health of the rail
};

// The handler of every command of this worker; ctx: a struct queries. One that reads what was
// projected waits first until that has come as far as the command says.
void queries_answer(void *queries, struct command *command);

#endif
