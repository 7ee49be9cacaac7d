// Finds out whether a stream still has what a reader has seen of it.
//
// A nats-server that loses power may come back without the end of a stream, and gives the lost
// sequences to new messages; a stream may also have been deleted and made again. Sequences alone do
// not show that, so a reader keeps marks of the last messages it saw and compares.
#ifndef BROKER_NATS_REWIND_H
#define BROKER_NATS_REWIND_H

#include "broker/nats/request.h"

#define MARKS_MAX 64

// The last messages that a reader saw. Zeroed: none.
struct marks {
    struct mark {
        uint64_t sequence;
        uint64_t digest;
    } items[MARKS_MAX]; // a ring
    size_t count;       // of all that were noted
};

void marks_note(struct marks *marks, uint64_t sequence, const void *data, size_t len);

// lost: the stream has not, or not any more, what the reader saw behind place; 0: it has none of
// it. rc other than RC_OK: that cannot be found out now.
typedef void (*rewind_done_fn)(void *ctx, enum rc rc, bool lost, uint64_t place);

// Loop thread; done exactly once. position: the last sequence the reader counts as read; also used
// when there are no marks: then only the stream's end can tell. marks: borrowed until done.
void rewind_check(struct requests *requests, const char *inbox, const char *stream,
                  const struct marks *marks, uint64_t position, rewind_done_fn done, void *ctx);

#endif
