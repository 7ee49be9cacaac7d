// Commands that send at once: a test, dead letters once more.
#ifndef WORKERS_WEBHOOK_REPLAY_H
#define WORKERS_WEBHOOK_REPLAY_H

#include "workers/webhook/hooks.h"

// For hooks.turns: one that waits has its turn before the gateway gives up, even if all of them
// hang.
extern const struct turns_limits replay_limits;

// ctx: the struct hooks.
void replay_on_test(void *ctx, struct command *command);
void replay_on_replay(void *ctx, struct command *command);
void replay_on_retry_all(void *ctx, struct command *command);

#endif
