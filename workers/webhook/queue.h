// Deliveries that are not finished: what may be sent next, and what has to wait. No input or
// output, and no clock.
//
// Order: of one packet, a hook gets an event only when it is done with the one before. Other
// packets go on.
//
// Fairness: tenants take turns, and within a tenant its hooks. Hooks in trouble, which fail or take
// long, have half of the places to share and leave the rest to the others. Whatever there is a
// bound of, places as well as deliveries that wait, nobody may have more of than a multiple of what
// is left: the more take much, the less each may have, and something is always left for who has
// little.
#ifndef WORKERS_WEBHOOK_QUEUE_H
#define WORKERS_WEBHOOK_QUEUE_H

#include "broker/base/id.h"
#include "broker/message/wire.h"

#include <uthash.h>

#define HOOK_KEY_BYTES (TOKEN_MAX + UUID_TEXT_BYTES + 1)
#define QUEUE_NEVER INT64_MAX

enum queued_state {
    DELIVERY_BLOCKED, // an earlier event of its packet comes first
    DELIVERY_WAITING, // for its next attempt
    DELIVERY_READY,
    DELIVERY_TAKEN, // somebody is at it: queue_take gave it away
};

struct queued {
    UT_hash_handle hh; // by id
    struct hook *hook; // NULL: the hook was dropped while this one was taken
    struct line *line;
    struct queued *next; // in its line
    struct queued *ready_next;
    struct queued *lighter; // those without a record, in the order of the stream
    struct queued *heavier;
    size_t heap_at; // while WAITING
    enum queued_state state;
    struct uuid id;
    struct uuid packet_id;
    uint64_t sequence;   // of the event
    uint64_t record_seq; // of its last record in HR_DELIVERIES; 0: it has none yet
    int64_t attempts;
    int64_t at_us;           // of the next attempt, while WAITING
    int64_t created_us;      // when it was first thought of
    const char *event;       // its name, static; NULL: it is in the record
    struct payload *payload; // owned, with others; NULL: it is in the record
};

// A body, for all deliveries of one event.
struct payload {
    unsigned owners;
    size_t len;
    uint8_t data[];
};

enum pace {
    STEADY,
    TROUBLED, // fails, or takes long to answer
    PACES,
};

struct tenant;

struct hook {
    UT_hash_handle hh; // by key
    char key[HOOK_KEY_BYTES];
    const char *id; // in key, behind the tenant
    struct tenant *tenant;
    struct hook *sibling;   // of the same tenant
    const Hr__Hook *config; // borrowed from the registry
    unsigned partition;

    // The queue's.
    struct line *lines;
    struct queued *first_light; // without a record
    struct queued *last_light;
    struct queued *ready;
    struct queued *ready_last;
    size_t light;   // how many have no record
    size_t count;   // of all its deliveries
    unsigned limit; // of those taken at a time
    unsigned taken;
    unsigned failures; // one behind the other
    bool slow;         // its last answer took long
    struct hook *turn_next;
    struct hook *turn_before;
    bool listed; // it has a turn coming

    // The follower's.
    bool behind;        // it is read for on its own
    bool reading;       // now
    uint64_t read_turn; // when it was read for last
    uint64_t position;  // it has been asked about everything up to here
    uint64_t skipped;   // the last event that was left to that
    uint64_t requeued;  // the last recovery that was carried out here; see Hook.requeued
    uint64_t from;      // as it was when last seen; see Hook.from_sequence

    // The dispatcher's.
    int64_t failing_since_us; // 0: it does not
    bool noting;              // that is being written down
    bool gone;                // it answered 410, and gets nothing more,
    uint64_t gone_from;       // unless it was made active again since: see Hook.from_sequence
};

struct tenant {
    UT_hash_handle hh;
    char name[TOKEN_MAX + 1];
    struct hook *hooks;
    uint64_t read_turn;    // the follower's: when one of its hooks was read for last
    size_t count;          // of all its deliveries
    unsigned taken[PACES]; // of them; those in trouble count as STEADY as well

    // By pace, the queue's.
    struct lane {
        struct hook *hooks; // that have something to send
        struct tenant *tenant;
        struct lane *next;
        struct lane *before;
        bool listed;
    } lanes[PACES];
};

struct queue_limits {
    unsigned per_hook; // taken at a time
    unsigned total;
    size_t light_max;    // of a hook's deliveries without a record
    size_t per_hook_max; // of its deliveries
    size_t total_max;
    size_t payload_bytes_max;
};

struct queue;

struct queue *queue_create(const struct queue_limits *limits);

// With everything that is in it, also what is taken. NULL is allowed.
void queue_destroy(struct queue *queue);

// NULL: there is none. tenant: of this name.
struct hook *queue_hook(const struct queue *queue, const char *key);
struct tenant *queue_tenant(const struct queue *queue, const char *name);
struct hook *queue_hooks(const struct queue *queue); // the first; then hh.next

// Is it <tenant>.<hook id>, both of a length that a hook can have? Entries of the bucket that are
// not are passed over.
bool queue_takes_key(const char *key);

// key: one that queue_takes_key.
struct hook *queue_add_hook(struct queue *queue, const char *key, unsigned partition);

// With all its deliveries, except those that are taken: queue_done frees them.
void queue_drop_hook(struct queue *queue, struct hook *hook);

// The caller's until it is dropped; deliveries own it as well.
struct payload *queue_payload(struct queue *queue, Text body);
void queue_payload_drop(struct queue *queue, struct payload *payload);

// Has it as many deliveries as may be kept?
bool queue_is_full(const struct queue *queue, const struct hook *hook);

// Could it take a good number more?
bool queue_has_room(const struct queue *queue, const struct hook *hook);

struct queued *queue_find(const struct queue *queue, const struct uuid *id);

// A new one; of one packet they must come in the order of the stream. record_seq: 0 for none.
// at_us: 0: now. payload: becomes an owner of it.
struct queued *queue_add(struct queue *queue, struct hook *hook, const struct queued *fields);

// Is an earlier event of the packet waiting for a retry, so that this one may stay for long?
bool queue_is_stuck(const struct queued *delivery);

// What is to be sent next; NULL: nothing now.
struct queued *queue_take(struct queue *queue);

// It has a record now.
void queue_recorded(struct queued *delivery, uint64_t record_seq);

// Its body is in its record, and need not be kept.
void queue_lighten(struct queue *queue, struct queued *delivery);

// A taken one is to be tried again.
void queue_retry(struct queue *queue, struct queued *delivery, int64_t at_us);

// A taken one is over: it is gone. The same for one whose hook was dropped.
void queue_done(struct queue *queue, struct queued *delivery);

// How an attempt went, for how many may be taken at a time. slow: it took long.
void queue_note(struct queue *queue, struct hook *hook, bool succeeded, bool slow);

// When the next one has waited long enough.
int64_t queue_next_at(const struct queue *queue);
void queue_wake(struct queue *queue, int64_t now_us);

// Everything of the hook that waits is to be taken now.
void queue_hurry(struct queue *queue, struct hook *hook);

// Of the hook's deliveries, in no order: calls visit for each.
void queue_each(struct hook *hook, void (*visit)(void *ctx, struct queued *delivery), void *ctx);

size_t queue_count(const struct queue *queue);
unsigned queue_taken(const struct queue *queue);

#endif
