// Takes what may be sent out of the queue, sends it, and writes down what became of it.
#ifndef WORKERS_WEBHOOK_DISPATCHER_H
#define WORKERS_WEBHOOK_DISPATCHER_H

#include "workers/webhook/attempt.h"
#include "workers/webhook/queue.h"
#include "workers/webhook/records.h"
#include "workers/webhook/registry.h"

struct dispatcher;

struct dispatcher_config {
    struct run *run;
    struct queue *queue;
    struct records *records;
    struct registry *registry;
    const struct attempts *attempts;
    int64_t disable_after_us;    // a hook that has failed for so long
    bool (*may_send)(void *ctx); // asked before anything is begun; looked at again by itself
    void (*finished)(void *ctx, const struct queued *delivery); // before it leaves the queue
    void *ctx;
};

// config is copied. Registers metrics: once in a program.
struct dispatcher *dispatcher_open(const struct dispatcher_config *config);

// Something may have become ready, or begun to wait.
void dispatcher_pump(struct dispatcher *dispatcher);

// Writes down a delivery that may have to wait for long, so that it need not be kept here.
void dispatcher_store(struct dispatcher *dispatcher, const struct queued *delivery);

// Writes a record that is old down again, so that what is behind it need not be read again.
void dispatcher_refresh(struct dispatcher *dispatcher, const struct queued *delivery);

// How many are under way; of one partition, and in all.
size_t dispatcher_in_hand(const struct dispatcher *dispatcher, unsigned partition);
size_t dispatcher_count(const struct dispatcher *dispatcher);

// Starts nothing more.
void dispatcher_drain(struct dispatcher *dispatcher);

// NULL is allowed.
void dispatcher_close(struct dispatcher *dispatcher);

#endif
