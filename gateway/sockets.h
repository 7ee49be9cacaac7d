// How many WebSockets each tenant has open here, and may have.
#ifndef GATEWAY_SOCKETS_H
#define GATEWAY_SOCKETS_H

#include "broker/run/run.h"

struct sockets;

struct sockets *sockets_open(struct run *run);
void sockets_close(struct sockets *sockets); // NULL is allowed

// The tenant's tier; static. "free" when nothing is known of it.
const char *sockets_tier(const struct sockets *sockets, const char *tenant);

// One more. False: the tenant has as many as it may. tenant: a safe token.
bool sockets_enter(struct sockets *sockets, const char *tenant);

// One less; after a sockets_enter that was true.
void sockets_leave(struct sockets *sockets, const char *tenant);

size_t sockets_count(const struct sockets *sockets, const char *tenant);

#endif
