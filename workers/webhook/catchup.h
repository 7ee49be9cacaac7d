// Reading for one hook on its own: events it is behind with, and dead letters that are to be put
// back. A few hooks at a time.
#ifndef WORKERS_WEBHOOK_CATCHUP_H
#define WORKERS_WEBHOOK_CATCHUP_H

#include "broker/nats/consume.h"
#include "workers/webhook/queue.h"
#include "workers/webhook/records.h"
#include "workers/webhook/registry.h"

struct catchup;

struct catchup_config {
    struct run *run;
    struct queue *queue;
    struct records *records;
    struct registry *registry;
    // An event for a hook that is behind. False: it has no room, and is to be asked again later.
    bool (*offer)(void *ctx, struct hook *hook, struct msg *msg, uint64_t sequence);
    // Something was taken into the queue.
    void (*moved)(void *ctx);
    void *ctx;
};

// config is copied.
struct catchup *catchup_open(const struct catchup_config *config);
void catchup_close(struct catchup *catchup); // NULL is allowed

// Begins to read for those hooks that need it and have room.
void catchup_look(struct catchup *catchup);

// The hook is about to go.
void catchup_forget(struct catchup *catchup, const struct hook *hook);

#endif
