// Which addresses a webhook may be sent to: none inside the house. Pure.
#ifndef WORKERS_WEBHOOK_ADDRESS_H
#define WORKERS_WEBHOOK_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

// True for loopback, private, link-local, shared, multicast, broadcast and reserved addresses, for
// IPv6 addresses that stand for such an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64), and for
// everything that is neither IPv4 nor IPv6.
bool address_is_blocked(const struct sockaddr *address);

// A literal address, without brackets. False: it is a name.
bool address_parse(struct sockaddr_storage *address, const char *host);

// Names that stand for the house itself, whatever they resolve to.
bool address_name_is_blocked(const char *host);

// Is the host, as URLs have it, in the comma list of those that are open? Case does not matter.
bool address_is_allowed(const char *list, const char *host);

#endif
