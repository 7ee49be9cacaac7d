// Is the stream still the one that was projected? And if not, where did they part?
//
// After a power loss the end of a stream can be gone and its sequences used again for other
// records. Neither its creation time nor its length tells that; only the records themselves do. So
// the event at the place is compared, and when it differs, the last sequence at which both agree is
// searched for.
#ifndef WORKERS_AUDIT_ORIGIN_H
#define WORKERS_AUDIT_ORIGIN_H

#include "broker/nats/request.h"
#include "workers/audit/projection.h"

struct origin_check;

struct origin_verdict {
    bool same; // go on behind the place; the rest is for a new epoch
    int64_t stream_created_us;
    uint64_t fork_seq;  // the last record both have
    const char *reason; // static
};

// RC_OK: verdict is set. RC_UNAVAILABLE, RC_TIMEOUT: NATS or Postgres does not answer; try again.
// RC_CORRUPT: NATS answers what we do not understand; logged.
typedef void (*origin_done)(void *ctx, enum rc rc, const struct origin_verdict *verdict);

// Checks the place that projection has loaded; uses projection until done is called, which happens
// exactly once, perhaps before this returns, unless origin_forget comes first.
// *check is set to NULL before done is called. inbox: name of this program.
void origin_begin(struct origin_check **check, struct requests *requests, const char *inbox,
                  const char *stream, struct projection *projection, origin_done done, void *ctx);

// The same check without a search, beside whatever else projection does: it says only whether to go
// on, as of the place at the time of the call. If not, origin_begin finds out the rest.
void origin_look(struct origin_check **check, struct requests *requests, const char *inbox,
                 const char *stream, struct projection *projection, origin_done done, void *ctx);

// done is not called any more. Sets *check to NULL, which it may be already.
void origin_forget(struct origin_check **check);

#endif
