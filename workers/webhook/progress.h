// How far a partition has come: what its checkpoint says.
#ifndef WORKERS_WEBHOOK_PROGRESS_H
#define WORKERS_WEBHOOK_PROGRESS_H

#include "workers/webhook/dispatcher.h"

#define PROGRESS_MARKS 64

// Everything that became of events behind packets_seq stands behind deliveries_seq.
struct progress_mark {
    uint64_t packets_seq;
    uint64_t deliveries_seq;
};

struct progress {
    uint64_t read;                              // events up to here were offered to its hooks
    struct progress_mark marks[PROGRESS_MARKS]; // rising; the first holds for any event
    size_t mark_count;
};

void progress_begin(struct progress *progress, uint64_t packets_seq, uint64_t deliveries_seq);

struct progress_view {
    struct queue *queue;
    unsigned partition;
    uint64_t deliveries_end; // the last record of HR_DELIVERIES that was seen
    uint64_t events_end;     // others may have written about events up to here
};

// Fills in everything but owner and beat. Returns the lowest event that any hook stands at.
uint64_t progress_fill(struct progress *progress, const struct progress_view *view,
                       Hr__PartitionOwner *owner, struct arena *arena);

// Writes some of the oldest records again if they keep the checkpoint far back.
void progress_refresh(struct queue *queue, unsigned partition, uint64_t deliveries_end,
                      struct dispatcher *dispatcher);

#endif
