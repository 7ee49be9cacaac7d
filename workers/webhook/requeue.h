// One recovery of a hook, by the owner of its partition: its dead letters become pending again, and
// everything that is not finished gets into the queue, the oldest event first.
//
// What the stream of records says is all it goes by, so the one who begins again after a crash goes
// on where that happened: a letter that was put back says by which recovery.
#ifndef WORKERS_WEBHOOK_REQUEUE_H
#define WORKERS_WEBHOOK_REQUEUE_H

#include "workers/webhook/queue.h"
#include "workers/webhook/records.h"

struct requeue;

struct requeue_outcome {
    bool failed;      // something could not be read or written: begin again
    bool is_complete; // otherwise there was no room in the queue for all
    uint64_t count;   // dead letters that this recovery has put back, no matter who did it
};

struct requeue_config {
    struct run *run;
    struct records *records;
    struct queue *queue;
    struct hook *hook; // must stay until requeue_close
    uint64_t number;   // of the recovery
    bool puts_back;    // dead letters that were given up since
    int64_t since_us;
    void (*moved)(void *ctx); // something was taken into the queue
    // Loop thread, exactly once, unless requeue_close comes first.
    void (*done)(void *ctx, const struct requeue_outcome *outcome);
    void *ctx;
};

// config is copied.
struct requeue *requeue_open(const struct requeue_config *config);

// Records that are being written stay written. NULL is allowed.
void requeue_close(struct requeue *requeue);

#endif
