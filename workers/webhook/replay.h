// Commands that send: a test, dead letters once more, everything that failed since.
#ifndef WORKERS_WEBHOOK_REPLAY_H
#define WORKERS_WEBHOOK_REPLAY_H

#include "workers/webhook/hooks.h"

// ctx: the struct hooks.
void replay_on_test(void *ctx, struct command *command);
void replay_on_replay(void *ctx, struct command *command);
void replay_on_retry_all(void *ctx, struct command *command);
void replay_on_recover(void *ctx, struct command *command);

#endif
