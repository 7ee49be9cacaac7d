// From the stream of packets into the queue, and how far that has come.
//
// One consumer reads for all hooks. A hook that takes its events more slowly than they come, or
// that is new and has to be told of some that were read already, is "behind": it is passed over
// there and read for on its own, a few hooks at a time, until it has caught up.
//
// A partition that is taken over is brought up from HR_DELIVERIES first: what is finished since the
// last checkpoint is not sent again, what is unfinished goes on where it was.
#ifndef WORKERS_WEBHOOK_FOLLOW_H
#define WORKERS_WEBHOOK_FOLLOW_H

#include "workers/webhook/dispatcher.h"
#include "workers/webhook/owners.h"

struct follower;

struct follow_config {
    struct run *run;
    struct queue *queue;
    struct records *records;
    struct registry *registry;
    struct dispatcher *dispatcher;
};

// config is copied.
struct follower *follow_open(const struct follow_config *config);
void follow_close(struct follower *follower); // NULL is allowed

// For owners; see there.
void follow_on_taken(void *follower, unsigned partition, const Hr__PartitionOwner *last);
void follow_on_lost(void *follower, unsigned partition);
void follow_fill(void *follower, unsigned partition, Hr__PartitionOwner *owner,
                 struct arena *arena);
bool follow_may_leave(void *follower, unsigned partition);

// For the dispatcher: a delivery is over.
void follow_on_finished(struct follower *follower, const struct queued *delivery);

// For the registry.
void follow_on_hook(void *follower, const char *key, const Hr__Hook *hook);

#endif
