// What a message is made of. For conn.c and msg.c alone.
#ifndef BROKER_NATS_NATS_MSG_H
#define BROKER_NATS_NATS_MSG_H

#include <nats/nats.h>

struct msg {
    natsMsg *nats;
};

#endif
