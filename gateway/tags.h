// Entity tags in request headers (RFC 9110, 8.8.3 and 13.1). A packet's tag is its version.
#ifndef GATEWAY_TAGS_H
#define GATEWAY_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAGS_MAX 64 // versions of one header; what follows is passed over

struct tags {
    bool any; // "*"
    uint64_t versions[TAGS_MAX];
    size_t count; // of those that can be versions: positive whole numbers
};

// Reads the value of If-Match or If-None-Match: "7", W/"7", 7, a list of those, or *. A proxy that
// compresses makes tags weak, and nothing else of a version changes by that, so weak is as good.
struct tags tags_read(const char *text);

bool tags_have(const struct tags *tags, uint64_t version);

#endif
