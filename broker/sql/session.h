// One connection to Postgres and the job it works on, as link.c and exchange.c share them.
#ifndef BROKER_SQL_SESSION_H
#define BROKER_SQL_SESSION_H

#include "broker/sql/statement.h"

#include <libpq-fe.h>
#include <stdint.h>
#include <uv.h>

// What pg_run was asked for.
struct job {
    struct job *next;     // in the queue
    uint64_t deadline_ms; // on the loop's clock
    enum pg_mode mode;
    int count;
    const struct pg_step *steps; // valid until it is sent: the caller's, or the copies in kept
    void *kept;                  // owned; NULL when it never had to wait
    pg_on_done on_done;
    void *ctx;
    enum rc rc;          // of the first step that failed
    PGresult *results[]; // owned; count of them
};

enum link_state {
    LINK_CLOSED,     // and stays so
    LINK_DOWN,       // waits before it tries again
    LINK_RESOLVING,  // asks for the address of the host
    LINK_CONNECTING, // libpq shakes hands
    LINK_SETUP,      // runs the session's SQL
    LINK_IDLE,       // from here on it is up
    LINK_BUSY,       // with job
    LINK_CLEANING,   // rolls back what failed
};

struct link;

// Same in all links of a pool.
struct link_spec {
    uv_loop_t *loop;
    char *conninfo;
    char *application;
    char *session; // NULL: none
    char *host;    // to be resolved by the loop; NULL: libpq needs no resolver

    void (*on_idle)(void *pool, struct link *link); // came up, or is done with a job
    void (*on_down)(void *pool, struct link *link); // it tries again by itself
    void (*on_closed)(void *pool);                  // the last call
    void (*on_notify)(void *pool, const char *channel, const char *payload);
    void *pool;
};

struct link {
    const struct link_spec *spec;
    enum link_state state;
    bool counted;     // the pool's: among those that are up
    PGconn *conn;     // NULL while down
    uv_poll_t *poll;  // on conn's socket; NULL while there is none
    int poll_fd;      // what poll watches
    uv_timer_t timer; // until the next try, or until what is under way has taken too long
    uv_getaddrinfo_t resolve;
    bool resolving;    // the loop still holds resolve
    unsigned delay_ms; // before the next try

    struct job *job;          // owned while LINK_BUSY
    struct command *commands; // what was sent for it, in order
    int command_count;
    int command_cap;
    int command_at; // whose result comes next

    const struct pg_statement **prepared; // what this session knows
    int prepared_count;
    int prepared_cap;
};

#endif
