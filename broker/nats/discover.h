// Answers NATS' service discovery, so that its ordinary tools show the fleet:
// $SRV.PING, $SRV.INFO and $SRV.STATS, each alone, with a name, or with a name and an id.
#ifndef BROKER_NATS_DISCOVER_H
#define BROKER_NATS_DISCOVER_H

#include "broker/nats/conn.h"

struct discover;

// name, help: borrowed for as long as it is open.
enum rc discover_open(struct discover **discover, struct conn *conn, const char *name,
                      const char *help) MUST_CHECK;

// NULL is allowed.
void discover_close(struct discover *discover);

#endif
