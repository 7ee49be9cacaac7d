// What is settled about a message before libnats reads its headers.
//
// libnats 3.4 parses all headers of a message as soon as one is asked for, in a time that is
// quadratic in the number of equal names, and it parses those of an empty message by itself, to see
// whether it is the server's "503 no responders". It also keeps that answer to itself and does not
// say which request it belongs to. So messages are looked at on their way into libnats' queues:
// headers of more than HEADER_BYTES_MAX are taken off, and a "no responders" is kept apart, with
// its subject.
#ifndef BROKER_NATS_ARRIVAL_H
#define BROKER_NATS_ARRIVAL_H

#include <nats/nats.h>

#define HEADER_BYTES_MAX 8192

enum arrival {
    ARRIVAL_PLAIN,
    ARRIVAL_HEADERS_CUT,   // it had too many headers and now has none
    ARRIVAL_NO_RESPONDERS, // nobody took the request that would have been answered to its subject
};

// From now on, for every message of the connection. Once, after it was made.
void arrival_watch(natsConnection *nats);

// What became of a message.
enum arrival arrival_of(natsMsg *msg);

// Its reply subject as it was sent; NULL: none.
const char *arrival_reply(natsMsg *msg);

#endif
