// The streams and buckets of a deployment.
#ifndef BROKER_NATS_TOPOLOGY_H
#define BROKER_NATS_TOPOLOGY_H

#include "broker/nats/request.h"

struct topology_config {
    const char *inbox; // name of this program
    int64_t replicas;  // of every stream: 1, 3 or 5
    bool create;       // false: only wait until they exist
    bool *replicated;  // set when a stream of packets has more than one replica
};

// Loop thread, exactly once. RC_CONFIG: the NATS server cannot be used safely, or a stream exists
// with settings we cannot work with; the reason is logged, and trying again will not help.
typedef void (*topology_done_fn)(void *ctx, enum rc rc);

// Creates what is missing and leaves alone what is there; any number of programs may do it at once.
// Tries for up to wait_ms; 0: without end, and says now and then what it waits for. requests must
// outlive it.
void topology_ensure(struct requests *requests, uv_loop_t *loop,
                     const struct topology_config *config, int64_t wait_ms, topology_done_fn done,
                     void *ctx);

// Does the server's answer about a stream say that it is one of a cluster? A server of its own from
// 2.10 on names itself as the leader there, and nothing else.
bool topology_is_clustered(const char *stream_info);

#endif
