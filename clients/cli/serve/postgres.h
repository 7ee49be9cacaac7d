// The private Postgres of a local rail: reached through a Unix socket only, run as another user
// when we are root.
#ifndef CLIENTS_CLI_SERVE_POSTGRES_H
#define CLIENTS_CLI_SERVE_POSTGRES_H

#include "clients/cli/serve/child.h"
#include "clients/cli/serve/datadir.h"

struct postgres;

// Finds the programs, decides on the user, and adds the children (not started yet). *postgres lives
// in the folder's arena. What failed has been said.
// RC_NOT_FOUND: no Postgres here. RC_REFUSED: it could not run on this folder.
enum rc postgres_open(struct postgres **postgres, const struct datadir *dir,
                      struct child_group *group) MUST_CHECK;

// Makes the database cluster when there is none, then starts the server.
void postgres_start(struct postgres *postgres);

// True when the server accepts connections.
bool postgres_is_up(const struct postgres *postgres);

// The server, not what makes its database.
const struct child *postgres_child(const struct postgres *postgres);

// For libpq, with the password in it.
const char *postgres_url(const struct postgres *postgres);

#endif
