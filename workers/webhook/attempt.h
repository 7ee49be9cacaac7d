// One attempt: signs a delivery's body, sends it, and says how it went.
#ifndef WORKERS_WEBHOOK_ATTEMPT_H
#define WORKERS_WEBHOOK_ATTEMPT_H

#include "broker/base/keyring.h"
#include "broker/message/wire.h"
#include "workers/webhook/schedule.h"
#include "workers/webhook/sender.h"

struct attempts {
    struct sender *sender;
    const struct keyring *ring;
    struct schedule schedule;
};

struct attempt_request {
    const Hr__Hook *hook;
    const char *delivery_id;
    const char *event;
    Text body;                  // borrowed until it is done
    Hr__DeliveryRecord *record; // notes the headers that are sent, but for the signatures; or NULL
    sender_done_fn done;
    void *ctx;
};

// arena: for the headers; may go when this returns, unless there is a record. RC_NOT_FOUND,
// RC_CORRUPT: the hook's secret cannot be read, logged; done is not called.
enum rc attempt_start(const struct attempts *attempts, const struct attempt_request *request,
                      struct arena *arena) MUST_CHECK;

static inline bool attempt_succeeded(const struct sender_result *result)
{
    return result->status >= 200 && result->status < 300;
}

// Writes down in the record how its next attempt went. retries: false: whatever the schedule says,
// a failure is the end of it.
void attempt_note(const struct attempts *attempts, Hr__DeliveryRecord *record, struct arena *arena,
                  const struct sender_result *result, bool retries);

// It will not be sent, for a static reason: a dead letter.
void attempt_give_up(Hr__DeliveryRecord *record, struct arena *arena, const char *reason);

#endif
