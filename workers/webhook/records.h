// Delivery records in the stream HR_DELIVERIES.
#ifndef WORKERS_WEBHOOK_RECORDS_H
#define WORKERS_WEBHOOK_RECORDS_H

#include "broker/message/wire.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"
#include "broker/run/run.h"

struct records {
    struct run *run;
    uint64_t last; // the highest sequence of the stream that was seen
};

struct record_name {
    const char *tenant;
    const char *hook_id;
    const char *delivery_id;
};

void records_subject(char subject[SUBJECT_BYTES], const struct record_name *name);

// Reads the names out of a subject. False: it is none of ours.
struct record_subject {
    char tenant[TOKEN_MAX + 1];
    char hook_id[UUID_TEXT_BYTES];
    char delivery_id[UUID_TEXT_BYTES];
};
bool records_parse(struct record_subject *parts, const char *subject);

// Is nothing more to be done about it?
bool record_is_final(const Hr__DeliveryRecord *record);

// expected: sequence of its last record, 0 for none: nothing that somebody else has written is
// overwritten. Everything is borrowed for the length of the call.
void records_put(struct records *records, const struct record_name *name,
                 const Hr__DeliveryRecord *record, uint64_t expected, entry_put_fn done, void *ctx);

// Loop thread, exactly once. record: in the arena of the load; NULL unless rc is RC_OK.
typedef void (*record_loaded_fn)(void *ctx, enum rc rc, Hr__DeliveryRecord *record,
                                 uint64_t sequence);

// RC_NOT_FOUND, RC_CORRUPT, RC_TIMEOUT, RC_UNAVAILABLE.
void records_load(struct records *records, const struct record_name *name, struct arena *arena,
                  record_loaded_fn done, void *ctx);

#endif
