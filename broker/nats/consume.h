// Following a stream in order: the other of the two shapes of a worker, and how buckets are
// watched.
//
// Messages are pulled, so that a reader is never given more than it has asked for. If the server
// loses the consumer or the connection breaks, it is made again behind the last message that was
// seen; nothing is skipped, and nothing is delivered twice to one reader. Before that it is found
// out whether the stream still has what was seen: if it lost its end, or is another stream, reading
// goes on behind what is left of it (on_rewound).
#ifndef BROKER_NATS_CONSUME_H
#define BROKER_NATS_CONSUME_H

#include "broker/nats/request.h"

struct consumer;
struct shared_inbox;

enum consume_from {
    CONSUME_AFTER,            // everything behind start_after
    CONSUME_LAST_PER_SUBJECT, // the last message of every subject, then everything new
};

// What the server tells of a message beside its contents.
struct delivery {
    uint64_t sequence; // in the stream
    uint64_t pending;  // how many more the server has: 0 means up to date
};

struct consumer_config {
    const char *inbox; // name of this program
    const char *stream;
    const char *filter;          // subject, may have wildcards
    struct shared_inbox *shared; // the inbox it shares; NULL: it has its own
    // Name under which operators see it and its lag. NULL: none, it is short-lived.
    const char *durable;
    enum consume_from from;
    uint64_t start_after;
    uint32_t window; // messages that may be delivered and not yet released

    // Loop thread. msg is borrowed for the length of the call.
    void (*on_message)(void *ctx, struct msg *msg, const struct delivery *delivery);
    // What was known may be out of date (false), and is again current (true). With
    // CONSUME_LAST_PER_SUBJECT everything is heard again in between. May be NULL.
    void (*on_current)(void *ctx, bool current);
    // The stream has lost what was seen behind place, and its sequences are used for other
    // messages. Called before messages come from behind place; with CONSUME_LAST_PER_SUBJECT from
    // the start. May close the consumer. NULL: the reader need not know.
    void (*on_rewound)(void *ctx, uint64_t place);
    void *ctx;
};

// Returns at once; messages come once there is a consumer. What config points to must outlive it.
struct consumer *consumer_open(struct requests *requests, struct conn *conn, uv_loop_t *loop,
                               const struct consumer_config *config) MUST_CHECK;

// The reader is done with count more messages: the window opens by as many.
void consumer_release(struct consumer *consumer, uint32_t count);

// NULL is allowed.
void consumer_close(struct consumer *consumer);

#endif
