// A batch of records as the columns of two tables. Internal to this folder.
#ifndef WORKERS_AUDIT_BATCH_H
#define WORKERS_AUDIT_BATCH_H

#include "broker/base/id.h"
#include "broker/sql/param.h"
#include "workers/audit/item.h"
#include "workers/audit/search_text.h"

// In the order of the statement in projection.c.
enum event_column {
    EVENT_SEQ,
    EVENT_AT,
    EVENT_ID,
    EVENT_PACKET_ID,
    EVENT_TENANT,
    EVENT_TYPE,
    EVENT_ACTOR,
    EVENT_KEY_ID,
    EVENT_DETAILS,
    EVENT_RECORD,
    EVENT_PART,
    EVENT_ASKS,   // only counted
    EVENT_NUMBER, // this one and those behind it are chains.c's
    EVENT_MAC_KEY,
    EVENT_MAC,
    EVENT_COLUMNS,
};

#define PACKET_COLUMNS 16
#define TEXT_COLUMNS 7
#define BATCH_MONTHS 8

struct batch {
    struct arena *arena;
    struct pg_array events[EVENT_COLUMNS];   // a row per record, and those derived from it
    struct pg_array packets[PACKET_COLUMNS]; // only the newest record of each packet
    struct pg_array texts[TEXT_COLUMNS]; // of those packets whose texts are not known to be stored
    struct learned {
        struct uuid packet_id;
        uint8_t digest[WORDS_DIGEST_BYTES];
    } * learned; // what is known once the batch is stored; in the arena
    size_t learned_count;
    struct words_memory *words; // borrowed
    uint64_t last_seq;
    struct uuid last_event_id;
    int months[BATCH_MONTHS]; // year * 12 + month, counted from 0: all that occur, each once
    size_t month_count;       // those beyond BATCH_MONTHS are left to the default partition
};

// words: what is known to be stored.
void batch_init(struct batch *batch, struct words_memory *words);
void batch_fini(struct batch *batch);

// The packet and the event of a record; they are left alone when it cannot be read.
void batch_ids(const struct projection_item *item, struct uuid *packet_id, struct uuid *event_id);

// Replaces what it held. count is at least 1. Nothing of items is needed any more when it returns.
void batch_fill(struct batch *batch, const struct projection_item *items, size_t count);

#endif
