// What HR_DELIVERIES says of a partition since its last checkpoint.
#ifndef WORKERS_WEBHOOK_RECOVER_H
#define WORKERS_WEBHOOK_RECOVER_H

#include "broker/nats/consume.h"
#include "workers/webhook/queue.h"
#include "workers/webhook/records.h"

struct recovery;
struct settled; // ids of finished deliveries

// Loop thread, exactly once, unless recovery_close comes first: everything has been read.
typedef void (*recovery_done_fn)(void *ctx, unsigned partition);

struct recovery *recovery_open(struct records *records, unsigned partition, uint64_t after,
                               recovery_done_fn done, void *ctx);
void recovery_close(struct recovery *recovery); // NULL is allowed

// Calls visit for every unfinished delivery, in the order of their events; key: of its hook.
void recovery_each(struct recovery *recovery,
                   void (*visit)(void *ctx, const char *key, const struct queued *fields),
                   void *ctx);

// What was finished; the caller's from now on. NULL: nothing.
struct settled *recovery_take_settled(struct recovery *recovery);

// *settled is made when it is NULL. sequence: of the event.
void settled_add(struct settled **settled, const struct uuid *id, uint64_t sequence);

// settled may be NULL.
bool settled_has(const struct settled *settled, const struct uuid *id);
uint64_t settled_end(const struct settled *settled); // the last event it is about; 0: none
void settled_destroy(struct settled *settled);

// What a record says, for the queue. False: it cannot be read, logged.
struct recovered {
    char key[HOOK_KEY_BYTES];
    bool is_final;
    bool is_dead;
    uint64_t requeued; // see DeliveryRecord
    int64_t updated_us;
    struct queued fields;
};
bool recover_read(struct recovered *recovered, struct msg *msg, const struct delivery *delivery,
                  struct arena *arena);

#endif
