// Takes what may be sent out of the queue, sends it, and writes down what became of it.
#ifndef WORKERS_WEBHOOK_COURIER_H
#define WORKERS_WEBHOOK_COURIER_H

#include "workers/webhook/attempt.h"
#include "workers/webhook/queue.h"
#include "workers/webhook/records.h"
#include "workers/webhook/registry.h"

struct courier;

struct courier_config {
    struct run *run;
    struct queue *queue;
    struct records *records;
    struct registry *registry;
    const struct attempts *attempts;
    int64_t disable_after_us;    // a hook that has failed for so long
    bool (*may_send)(void *ctx); // asked before anything is begun; looked at again by itself
    void (*finished)(void *ctx, const struct parcel *parcel); // before it leaves the queue
    void *ctx;
};

// config is copied. Registers metrics: once in a program.
struct courier *courier_open(const struct courier_config *config);

// Something may have become ready, or begun to wait.
void courier_pump(struct courier *courier);

// Writes down a delivery that may have to wait for long, so that it need not be kept here.
void courier_store(struct courier *courier, const struct parcel *parcel);

// Writes a record that is old down again, so that what is behind it need not be read again.
void courier_refresh(struct courier *courier, const struct parcel *parcel);

// How many are under way; of one partition, and in all.
size_t courier_in_hand(const struct courier *courier, unsigned partition);
size_t courier_count(const struct courier *courier);

// Starts nothing more.
void courier_drain(struct courier *courier);

// NULL is allowed.
void courier_close(struct courier *courier);

#endif
