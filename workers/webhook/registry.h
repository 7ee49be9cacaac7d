// The hooks of the deployment, as the bucket HR_HOOKS holds them: watched, and changed on
// condition.
#ifndef WORKERS_WEBHOOK_REGISTRY_H
#define WORKERS_WEBHOOK_REGISTRY_H

#include "broker/rail/bucket.h"
#include "workers/webhook/queue.h"

struct registry;

struct registry_config {
    struct run *run;
    // Loop thread: a hook is another one now; NULL: it is gone. May be NULL.
    void (*on_change)(void *ctx, const char *key, const Hr__Hook *hook);
    void *ctx;
};

// config is copied.
struct registry *registry_open(const struct registry_config *config);
void registry_close(struct registry *registry); // NULL is allowed

bool registry_is_current(const struct registry *registry);

// tenant NULL: of all.
size_t registry_count(const struct registry *registry, const char *tenant);

// Borrowed until the loop runs again; NULL: there is none.
const Hr__Hook *registry_find(const struct registry *registry, const char *key);

// Calls visit for every hook, in no order.
void registry_each(const struct registry *registry,
                   void (*visit)(void *ctx, const char *key, const ProtobufCMessage *hook),
                   void *ctx);

// Loop thread, exactly once: once everything that is in the bucket now has been read. RC_TIMEOUT,
// RC_UNAVAILABLE: that is not known.
typedef void (*registry_done_fn)(void *ctx, enum rc rc);
void registry_catch_up(struct registry *registry, registry_done_fn done, void *ctx);

// Changes hook, which lives in the arena. False: it shall stay as it is, and that is the end of it.
typedef bool (*registry_edit_fn)(void *ctx, Hr__Hook *hook, struct arena *arena);

// Loop thread, exactly once. hook: as it is now, in the arena; NULL unless rc is RC_OK. The watch
// has seen the change. RC_NOT_FOUND: there is no such hook.
typedef void (*registry_edited_fn)(void *ctx, enum rc rc, Hr__Hook *hook);

// Reads the hook, lets edit change it, and writes it if nobody else did; again if somebody did, so
// edit may be called several times. arena must live until done is called.
void registry_edit(struct registry *registry, const char *key, struct arena *arena,
                   registry_edit_fn edit, registry_edited_fn done, void *ctx);

// A new one. RC_CONFLICT: there is one with this key already.
void registry_add(struct registry *registry, const char *key, struct arena *arena, Hr__Hook *hook,
                  registry_edited_fn done, void *ctx);

void registry_key(char key[HOOK_KEY_BYTES], const char *tenant, const char *hook_id);

#endif
