// TCP ports of this machine's loopback address.
#ifndef CLIENTS_CLI_SERVE_PORT_H
#define CLIENTS_CLI_SERVE_PORT_H

#include "broker/base/rc.h"

#include <stdbool.h>

// True when a server could listen there now.
bool port_is_free(int port);

// RC_UNAVAILABLE: none was found.
enum rc port_pick(int *port) MUST_CHECK;

#endif
