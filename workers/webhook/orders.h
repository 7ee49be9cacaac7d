// hook.recover: asked for in the hook's entry, carried out by the owner of its partition (requeue),
// and answered when the entry says that it is done.
#ifndef WORKERS_WEBHOOK_ORDERS_H
#define WORKERS_WEBHOOK_ORDERS_H

#include "workers/webhook/hooks.h"

struct orders;

struct orders *orders_open(struct run *run);

// Answers those that wait: they go on elsewhere.
void orders_drain(struct orders *orders);

// NULL is allowed. None may wait.
void orders_close(struct orders *orders);

// ctx: the struct hooks.
void orders_on_recover(void *ctx, struct command *command);

// For the registry: the hook is another one now; NULL: it is gone.
void orders_on_hook(struct orders *orders, const char *key, const Hr__Hook *hook);

#endif
