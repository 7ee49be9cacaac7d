// The nats-server of a local rail: its users and what each may do, its port, its configuration.
#ifndef CLIENTS_CLI_SERVE_NATS_H
#define CLIENTS_CLI_SERVE_NATS_H

#include "clients/cli/serve/child.h"
#include "clients/cli/serve/datadir.h"

enum nats_user {
    NATS_WORKER,
    NATS_EXPIRY, // the worker of that name
    NATS_GATEWAY,
    NATS_AGENT, // agents that speak NATS themselves
    NATS_ADMIN,
    NATS_USERS,
};

struct nats {
    struct child *child;
    const char *url; // without credentials
    int port;
    const char *users[NATS_USERS]; // their names
    const char *passwords[NATS_USERS];
};

// Chooses a port, writes nats/nats.conf, admin.nats and agent.nats, and adds the child (not started
// yet). wanted_server: path of the program; NULL for the newest that is installed. wanted_port: 0
// for the one of the last run, or 4222, or any. RC_NOT_FOUND: no nats-server here. RC_REFUSED: it
// is too old. RC_CONFLICT: wanted_port is taken. What failed has been said.
enum rc nats_open(struct nats *nats, const struct datadir *dir, struct child_group *group,
                  const char *wanted_server, int wanted_port) MUST_CHECK;

// Does the store of an earlier run hold webhooks, or did it once? Only while no server uses it.
bool nats_has_hooks(const struct datadir *dir);

// What a client says to be told about the stream of packets, in the server's own protocol; the
// answer comes to inbox. In the folder's arena; a secret.
const char *nats_question(const struct nats *nats, struct arena *memory, const char *inbox);

#endif
