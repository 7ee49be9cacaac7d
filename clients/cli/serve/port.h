// TCP ports of this machine's loopback address.
#ifndef CLIENTS_CLI_SERVE_PORT_H
#define CLIENTS_CLI_SERVE_PORT_H

#include "broker/base/rc.h"

#include <stdbool.h>

// True when a server could listen there now, and no other serve has chosen it. It is then ours
// until this process ends, also before a server listens there: two that start in the same moment do
// not choose the same one.
bool port_take(int port);

// Takes any. RC_UNAVAILABLE: none was found.
enum rc port_pick(int *port) MUST_CHECK;

#endif
