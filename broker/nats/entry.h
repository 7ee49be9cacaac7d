// The last message of a subject, in any stream or bucket: read it, append the next on a condition.
#ifndef BROKER_NATS_ENTRY_H
#define BROKER_NATS_ENTRY_H

#include "broker/nats/request.h"

#define ENTRY_ANY UINT64_MAX // for expected: whatever is there

// Loop thread, exactly once. RC_OK: it stands at sequence. RC_CONFLICT: the last message of the
// subject is not the expected one. RC_TIMEOUT, RC_UNAVAILABLE: it may or may not have been stored.
// RC_FULL: NATS has no room; nothing was stored. RC_IO: the stream refuses; logged.
typedef void (*entry_put_fn)(void *ctx, enum rc rc, uint64_t sequence);

struct entry_put {
    const char *subject;
    uint64_t expected; // sequence of the subject's last message; 0: there must be none
    const void *data;
    size_t len;
};

// inbox: name of this program. Everything in put is borrowed for the length of the call.
void entry_put(struct requests *requests, const char *inbox, const struct entry_put *put,
               entry_put_fn done, void *ctx);

// What a JetStream publish was answered with: the codes of entry_put_fn.
enum rc entry_read_answer(const struct msg *reply, uint64_t *sequence) MUST_CHECK;

// The sequence of a stream's last message, out of what the server says of the stream. RC_IO: that
// is not understood; logged.
enum rc entry_read_end(const struct msg *reply, uint64_t *last) MUST_CHECK;

// Loop thread, exactly once. reply: borrowed; NULL unless rc is RC_OK. RC_NOT_FOUND: there is no
// such message, or it says that the key is gone.
typedef void (*entry_got_fn)(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence);

void entry_get(struct requests *requests, const char *inbox, const char *stream,
               const char *subject, entry_got_fn done, void *ctx);

// Loop thread, exactly once: the sequence of a stream's last message, 0 when it never had one.
void entry_end(struct requests *requests, const char *inbox, const char *stream, entry_put_fn done,
               void *ctx);

// Asks the stream's leader for the sequence of a subject's last message; 0: there is none. Direct
// gets are answered by any replica, and one that is behind knows less. done: as of entry_put,
// without RC_CONFLICT.
void entry_last(struct requests *requests, const char *inbox, const char *stream,
                const char *subject, entry_put_fn done, void *ctx);

#endif
