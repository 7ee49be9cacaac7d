// Our own programs: the workers and the gateway, how many of each, and what each is told.
#ifndef CLIENTS_CLI_SERVE_FLEET_H
#define CLIENTS_CLI_SERVE_FLEET_H

#include "broker/run/fleet.h"
#include "clients/cli/serve/child.h"
#include "clients/cli/serve/datadir.h"
#include "clients/cli/serve/nats.h"

#define FLEET_PROGRAMS (FLEET_SIZE + 1) // the workers and the gateway
#define FLEET_COPIES_MAX 32

struct fleet {
    const struct datadir *dir;
    const struct nats *nats; // NULL: somebody else's, nats_url has the credentials
    const char *nats_url;
    const char *postgres_url;
    const char *admin_key;
    const char *audit_keys;   // file of the keys that seal the log
    const char *webhook_keys; // file of the keys that webhooks' secrets are kept under
    const char *audit_heads;  // file that the log's signed heads are appended to
    int port;                 // of the gateway
    bool json;
    int copies[FLEET_PROGRAMS]; // 0 stands for 1
};

// Reads "claim=2,packet=3" into copies. Returns NULL, or what is wrong with it (in memory).
const char *fleet_parse_scale(struct arena *memory, const char *text, int copies[FLEET_PROGRAMS]);

// Adds the children; none is started yet.
// RC_NOT_FOUND: a program is missing beside our own; said.
enum rc fleet_open(const struct fleet *fleet, struct child_group *group) MUST_CHECK;

#endif
