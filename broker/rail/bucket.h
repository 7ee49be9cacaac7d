// A bucket of configuration, followed in memory: what it says last of a key is what holds.
#ifndef BROKER_RAIL_BUCKET_H
#define BROKER_RAIL_BUCKET_H

#include "broker/message/wire.h"
#include "broker/rail/handles.h"

struct bucket;

struct bucket_config {
    const char *stream;                           // behind the bucket: KV_<bucket>
    const char *subject;                          // of all its keys: $KV.<bucket>.>
    const ProtobufCMessageDescriptor *descriptor; // of its values
    // Loop thread, may be NULL: a key has another value now; NULL: it is gone.
    void (*on_change)(void *ctx, const char *key, const ProtobufCMessage *value);
    void *ctx;
};

// config is copied, what it points to is not.
struct bucket *bucket_open(struct run *run, const struct bucket_config *config);

// NULL is allowed.
void bucket_close(struct bucket *bucket);

// Everything that was in the bucket has been read, and the connection to it stands.
bool bucket_is_current(const struct bucket *bucket);

// Sequence of the last change that was read.
uint64_t bucket_position(const struct bucket *bucket);

// key: what follows the bucket's name. Borrowed until the loop runs again; NULL: there is none, or
// it cannot be read, logged.
const ProtobufCMessage *bucket_find(const struct bucket *bucket, const char *key);

// Calls visit for every value, in no order.
void bucket_each(const struct bucket *bucket,
                 void (*visit)(void *ctx, const char *key, const ProtobufCMessage *value),
                 void *ctx);

#endif
