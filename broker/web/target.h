// The target of a request: its path and its query parameters, decoded. No input or output.
#ifndef BROKER_WEB_TARGET_H
#define BROKER_WEB_TARGET_H

#include "broker/web/head.h"

struct target {
    const char *path; // decoded; "%2F" and "%00" stay encoded
    struct span raw_path;
    struct span raw_query; // without '?'; empty if there is none
    struct web_parameter *parameters;
    size_t parameter_count;
};

// raw: in origin form ("/path?query"), absolute form ("http://host/path") or "*".
// False: it is none of these, or has more than WEB_PARAMETERS_MAX parameters; *refusal says which.
bool target_read(struct target *target, struct arena *arena, struct span raw,
                 struct head_refusal *refusal);

#endif
