// Listening to a tenant's changes: from the live end of the stream, or from a place in it.
//
// Each tenant that somebody listens to is followed once (tail.c), however many listen. A listener
// (listener.c) is a place in the stream: it takes what comes behind it when its client is ready
// for more. One that wants to go on from an earlier place reads the stream on its own until it has
// caught up; only a few do so at a time, in turn (turns.c). So nothing is skipped and nothing is
// told twice, and a slow client costs no more than its place; one that is too far behind the live
// end is ended, with a reason, and may come back.
#ifndef GATEWAY_LIVE_LIVE_H
#define GATEWAY_LIVE_LIVE_H

#include "broker/rail/handles.h"
#include "gateway/live/types.h"

struct live *live_open(struct run *run);

// NULL is allowed. Every listener must have been closed.
void live_close(struct live *live);

// The end is near: every listener is ended.
void live_drain(struct live *live);

struct listener *live_listen(struct live *live, const struct listener_config *config);
void listener_close(struct listener *listener);

enum listener_state listener_state(const struct listener *listener);

// It wanted to go on from a place that the stream does not reach: it begins at the stream's end.
bool listener_is_reset(const struct listener *listener);

// How far it has been told, as a sequence of the stream. Only once it hears.
uint64_t listener_position(const struct listener *listener);

// The next change it wants, or NULL: none for now. Borrowed until the loop runs again.
const struct live_event *listener_take(struct listener *listener);

// Its channels have changed. since: what lies behind it is to be looked at once more.
void listener_rewind(struct listener *listener, uint64_t since);

#endif
