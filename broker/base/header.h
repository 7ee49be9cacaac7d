// A header of a message, on NATS and in HTTP.
#ifndef BROKER_BASE_HEADER_H
#define BROKER_BASE_HEADER_H

struct header {
    const char *name;
    const char *value;
};

#endif
