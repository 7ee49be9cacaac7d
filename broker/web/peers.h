// How many connections each address has, and which addresses are trusted with any number.
#ifndef BROKER_WEB_PEERS_H
#define BROKER_WEB_PEERS_H

#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct peers;
struct peer;

// max: connections of one address that is not trusted; 0: no bound. trusted: "10.0.0.0/8, ::1";
// NULL or "": none. RC_CONFIG: it cannot be understood; logged.
enum rc peers_create(struct peers **peers, size_t max, const char *trusted) MUST_CHECK;

// NULL is allowed. Every peer must have been left.
void peers_destroy(struct peers *peers);

// One more connection from there. *peer: for peers_leave; NULL if it need not be counted.
// False: the address has as many as it may have.
bool peers_enter(struct peers *peers, const struct sockaddr *address, struct peer **peer);

// peer: NULL is allowed.
void peers_leave(struct peers *peers, struct peer *peer);

#endif
