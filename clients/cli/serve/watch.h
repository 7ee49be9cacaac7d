// Asks every child whether it works, not only whether its process lives, and ends what has not
// answered for some time, so that it is started again.
//
//   workers, gateway   GET /healthz: the loop runs
//   nats-server        JetStream tells about the stream of packets
//   Postgres           a new session answers a query
#ifndef CLIENTS_CLI_SERVE_WATCH_H
#define CLIENTS_CLI_SERVE_WATCH_H

#include "clients/cli/serve/child.h"
#include "clients/cli/serve/nats.h"
#include "clients/cli/serve/postgres.h"

struct watch;

struct watch_spec {
    uv_loop_t *loop;
    struct child_group *group;
    const struct nats *nats;         // its child is NULL: somebody else's
    const struct postgres *postgres; // NULL: somebody else's
    struct arena *memory;
    int64_t deaf_ms; // without an answer; a server that starts has longer
};

// Begins at once; both servers are up. Everything in spec must outlive it.
struct watch *watch_create(const struct watch_spec *spec);

// Asks and ends nobody any more. NULL is allowed; a second call does nothing.
void watch_close(struct watch *watch);

// After watch_close, once the loop has closed its handles. NULL is allowed.
void watch_free(struct watch *watch);

#endif
