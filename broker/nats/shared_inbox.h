// One inbox for many consumers.
//
// A subscription costs something in every turn of the loop, so consumers that come and go with
// clients share one. What the server says about a pull comes to the subject that the pull named;
// a message of the stream keeps its own subject and names its consumer in its reply subject.
#ifndef BROKER_NATS_SHARED_INBOX_H
#define BROKER_NATS_SHARED_INBOX_H

#include "broker/nats/conn.h"

#include <uthash.h>

#define CONSUMER_NAME_BYTES 64
#define DELIVERY_INBOX_BYTES 144

struct shared_inbox;

// Where a message of a stream comes from.
struct origin {
    const char *stream; // points into the message, as consumer does
    size_t stream_len;
    const char *consumer;
    size_t consumer_len;
    uint64_t number;   // in the consumer
    uint64_t sequence; // in the stream
    uint64_t pending;  // how many more the server has
};

// False: it is no delivery of a consumer.
bool origin_read(const struct msg *msg, struct origin *origin) MUST_CHECK;

// One of those who share the inbox; part of the caller's struct. The caller sets the first two.
struct receiver {
    conn_message_fn on_message;
    void *ctx;
    uint64_t number; // of the receiver, in subjects
    bool is_named;
    char name[DELIVERY_INBOX_BYTES]; // stream and consumer
    UT_hash_handle by_number;
    UT_hash_handle by_name;
};

// inbox: second token of the subjects, which this program must be allowed to subscribe to.
// RC_IO: logged.
enum rc shared_inbox_open(struct shared_inbox **shared, struct conn *conn,
                          const char *inbox) MUST_CHECK;

// NULL is allowed. Every receiver must have been removed.
void shared_inbox_close(struct shared_inbox *shared);

// Writes the subject prefix for the receiver's pulls; one more token is the caller's choice.
void shared_inbox_add(struct shared_inbox *shared, struct receiver *receiver,
                      char inbox[DELIVERY_INBOX_BYTES]);

// From now on it gets the messages of this consumer. consumer "": of none.
void shared_inbox_name(struct shared_inbox *shared, struct receiver *receiver, const char *stream,
                       const char *consumer);

void shared_inbox_remove(struct shared_inbox *shared, struct receiver *receiver);

#endif
