// Where in the stream a client that comes back has been. Pure.
#ifndef GATEWAY_LIVE_PLACE_H
#define GATEWAY_LIVE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct place {
    bool given;        // false: it has not been here before
    uint64_t since;    // the sequence of the last change it has heard
    const char *wrong; // name of the parameter that is no number; NULL: nothing is
};

// header: Last-Event-ID, NULL if there is none; it goes before the query. query_value returns NULL
// for what is not there. Both may be empty, which is as good as none.
struct place place_read(const char *header,
                        const char *(*query_value)(const void *request, const char *name),
                        const void *request);

#endif
