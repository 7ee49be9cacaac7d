// Who sends what: the hooks are spread over partitions, and each partition has one owner.
//
// A lease lives in the bucket HR_OWNERS, is renewed with a beat, and is free to take when no beat
// has been seen for STALE_MS on one's own clock; nobody compares clocks. An owner sends nothing
// more when it could not renew a lease for less than that, and two at a moment write nothing wrong.
// Workers tell each other that they are there, and the one who has more than a fair share gives one
// up.
#ifndef WORKERS_WEBHOOK_OWNERS_H
#define WORKERS_WEBHOOK_OWNERS_H

#include "broker/message/wire.h"
#include "broker/run/run.h"

#define PARTITIONS 16

struct owners;

#define OWNER_NAME_BYTES 65

struct owners_config {
    // The one who comes back under the name it had has its partitions at once; "": a random one.
    const char *name;
    // Loop thread. It is ours now; last: as the one before left it, borrowed.
    void (*on_taken)(void *ctx, unsigned partition, const Hr__PartitionOwner *last);
    // It is not ours any more, whether given up or taken away.
    void (*on_lost)(void *ctx, unsigned partition);
    // Fills in how far the partition has come; in the arena.
    void (*fill)(void *ctx, unsigned partition, Hr__PartitionOwner *owner, struct arena *arena);
    // It is to be given up: start nothing new. May it go now?
    bool (*may_leave)(void *ctx, unsigned partition);
    void *ctx;
};

unsigned owners_partition(const char *hook_id);

// config is copied.
struct owners *owners_open(struct run *run, const struct owners_config *config);

// Gives everything up as soon as it may go.
void owners_drain(struct owners *owners);
size_t owners_in_hand(const struct owners *owners);

// NULL is allowed.
void owners_close(struct owners *owners);

// Is every partition somebody's?
bool owners_are_known(const struct owners *owners);

// Can nobody else have taken what is ours? False when it could not be renewed in time: then nothing
// may be sent, as the next owner may have told of more already.
bool owners_are_sure(const struct owners *owners);

// How many are ours.
unsigned owners_count(const struct owners *owners);

#endif
