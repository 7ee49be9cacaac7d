// The commands on hooks themselves.
#ifndef WORKERS_WEBHOOK_HOOKS_H
#define WORKERS_WEBHOOK_HOOKS_H

#include "broker/rail/service.h"
#include "workers/webhook/attempt.h"
#include "workers/webhook/records.h"
#include "workers/webhook/registry.h"
#include "workers/webhook/turns.h"

struct orders;

struct hooks {
    struct run *run;
    struct orders *orders;
    struct registry *registry;
    struct records *records;
    struct attempts attempts;
    struct turns turns; // of attempts that are no flights of the dispatcher
    const char *allowed_hosts;
    int64_t per_tenant;  // hooks
    int64_t rotation_us; // how long the old secret signs as well
};

// ctx: the struct hooks.
void hooks_on_create(void *ctx, struct command *command);
void hooks_on_list(void *ctx, struct command *command);
void hooks_on_get(void *ctx, struct command *command);
void hooks_on_update(void *ctx, struct command *command);
void hooks_on_delete(void *ctx, struct command *command);
void hooks_on_rotate(void *ctx, struct command *command);

// There is no such hook of the tenant: the problem, and the command refused with it.
void hooks_unknown(struct problem *problem, struct arena *arena, Text hook_id);
void hooks_refuse_unknown(struct command *command, Text hook_id);

#endif
