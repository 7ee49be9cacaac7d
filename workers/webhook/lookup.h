// May a webhook be registered for this URL? Asks the resolver without blocking.
#ifndef WORKERS_WEBHOOK_LOOKUP_H
#define WORKERS_WEBHOOK_LOOKUP_H

#include "broker/base/rc.h"

#include <uv.h>

// Loop thread, exactly once, perhaps before the return. problem: NULL when it may, otherwise a
// static phrase.
typedef void (*lookup_done_fn)(void *ctx, const char *problem);

// allowed_hosts: comma list of hosts that may have any address. A name that does not resolve is
// let in: it may one day, and what it resolves to is looked at again whenever it is dialled.
void lookup_url(uv_loop_t *loop, const char *allowed_hosts, const char *url, lookup_done_fn done,
                void *ctx);

#endif
