// A change is written on condition and waits until the watch has seen it, so that the next read has
// it.
#include "workers/webhook/registry.h"

#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 8
#define WAIT_MS 2000
#define TICK_MS 20

// Somebody who wants to know when the watch has come so far.
struct wait {
    struct wait *next;
    uint64_t position;
    int64_t deadline_ns;
    registry_done_fn done;
    void *ctx;
};

struct registry {
    struct registry_config config;
    struct bucket *bucket;
    struct wait *waits;
    uv_timer_t timer; // while somebody waits
};

void registry_key(char key[HOOK_KEY_BYTES], const char *tenant, const char *hook_id)
{
    (void)snprintf(key, HOOK_KEY_BYTES, "%s.%s", tenant, hook_id);
}

// --- waiting -------------------------------------------------------------------------------------

static void end_waits(struct registry *registry, bool closing)
{
    struct wait *waits = registry->waits;
    struct wait *next;

    registry->waits = NULL;
    for (; waits != NULL; waits = next) {
        bool reached = bucket_position(registry->bucket) >= waits->position;

        next = waits->next;
        if (!reached && !closing && clock_now_ns() < waits->deadline_ns) {
            waits->next = registry->waits;
            registry->waits = waits;
            continue;
        }
        waits->done(waits->ctx, reached ? RC_OK : closing ? RC_CLOSED : RC_TIMEOUT);
        free(waits);
    }
    if (registry->waits == NULL)
        uv_timer_stop(&registry->timer);
}

static void on_tick(uv_timer_t *timer)
{
    end_waits(timer->data, false);
}

static void wait_for(struct registry *registry, uint64_t position, registry_done_fn done, void *ctx)
{
    struct wait *wait;

    if (bucket_position(registry->bucket) >= position) {
        done(ctx, RC_OK);
        return;
    }
    wait = malloc(sizeof *wait);
    if (wait == NULL)
        abort();
    *wait =
        (struct wait){registry->waits, position, clock_now_ns() + WAIT_MS * 1000000LL, done, ctx};
    registry->waits = wait;
    uv_timer_start(&registry->timer, on_tick, TICK_MS, TICK_MS);
}

struct catch_up {
    struct registry *registry;
    registry_done_fn done;
    void *ctx;
};

static void on_end(void *ctx, enum rc rc, uint64_t sequence)
{
    struct catch_up catch_up = *(struct catch_up *)ctx;

    free(ctx);
    if (rc == RC_OK)
        wait_for(catch_up.registry, sequence, catch_up.done, catch_up.ctx);
    else
        catch_up.done(catch_up.ctx, rc);
}

void registry_catch_up(struct registry *registry, registry_done_fn done, void *ctx)
{
    struct catch_up *catch_up = malloc(sizeof *catch_up);
    struct run *run = registry->config.run;

    if (catch_up == NULL)
        abort();
    *catch_up = (struct catch_up){registry, done, ctx};
    entry_end(run_requests(run), run_name(run), STREAM_HOOKS, on_end, catch_up);
}

// --- changing ------------------------------------------------------------------------------------

struct change {
    struct registry *registry;
    char key[HOOK_KEY_BYTES];
    struct arena *arena;
    Hr__Hook *hook;
    unsigned tries;
    registry_edit_fn edit; // NULL: it is new
    registry_edited_fn done;
    void *ctx;
};

static void load(struct change *change);

static void finish(struct change *change, enum rc rc)
{
    struct change ended = *change;

    free(change);
    ended.done(ended.ctx, rc, rc == RC_OK ? ended.hook : NULL);
}

static void on_seen(void *ctx, enum rc rc)
{
    (void)rc; // it is stored: that our own watch lags does not undo it
    finish(ctx, RC_OK);
}

static void on_put(void *ctx, enum rc rc, uint64_t sequence)
{
    struct change *change = ctx;

    if (rc == RC_OK)
        wait_for(change->registry, sequence, on_seen, change);
    else if (rc == RC_CONFLICT && change->edit != NULL && ++change->tries < TRIES)
        load(change);
    else
        finish(change, rc);
}

static void put(struct change *change, uint64_t expected)
{
    struct run *run = change->registry->config.run;
    Text bytes = wire_pack(change->arena, &change->hook->base);
    char subject[SUBJECT_BYTES];
    const struct entry_put entry = {
        .subject = subject, .expected = expected, .data = bytes.data, .len = bytes.len};

    (void)snprintf(subject, sizeof subject, PREFIX_HOOKS "%s", change->key);
    entry_put(run_requests(run), run_name(run), &entry, on_put, change);
}

static void on_loaded(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence)
{
    struct change *change = ctx;
    ProtobufCMessage *message = NULL;

    if (rc == RC_OK && wire_unpack(&message, change->arena, &hr__hook__descriptor, msg_data(reply),
                                   msg_len(reply)) != RC_OK)
        rc = RC_CORRUPT;
    if (rc != RC_OK) {
        finish(change, rc);
        return;
    }
    change->hook = (Hr__Hook *)message;
    if (change->edit(change->ctx, change->hook, change->arena))
        put(change, sequence);
    else
        finish(change, RC_OK);
}

static void load(struct change *change)
{
    struct run *run = change->registry->config.run;
    char subject[SUBJECT_BYTES];

    (void)snprintf(subject, sizeof subject, PREFIX_HOOKS "%s", change->key);
    entry_get(run_requests(run), run_name(run), STREAM_HOOKS, subject, on_loaded, change);
}

static struct change *change_create(struct registry *registry, const char *key, struct arena *arena,
                                    registry_edited_fn done, void *ctx)
{
    struct change *change = calloc(1, sizeof *change);

    if (change == NULL)
        abort();
    change->registry = registry;
    (void)snprintf(change->key, sizeof change->key, "%s", key);
    change->arena = arena;
    change->done = done;
    change->ctx = ctx;
    return change;
}

void registry_edit(struct registry *registry, const char *key, struct arena *arena,
                   registry_edit_fn edit, registry_edited_fn done, void *ctx)
{
    struct change *change = change_create(registry, key, arena, done, ctx);

    change->edit = edit;
    load(change);
}

void registry_add(struct registry *registry, const char *key, struct arena *arena, Hr__Hook *hook,
                  registry_edited_fn done, void *ctx)
{
    struct change *change = change_create(registry, key, arena, done, ctx);

    change->hook = hook;
    put(change, 0);
}

// --- watching ------------------------------------------------------------------------------------

static void on_change(void *ctx, const char *key, const ProtobufCMessage *value)
{
    struct registry *registry = ctx;

    if (registry->config.on_change != NULL)
        registry->config.on_change(registry->config.ctx, key, (const Hr__Hook *)value);
    if (registry->waits != NULL)
        uv_timer_start(&registry->timer, on_tick, 0, TICK_MS);
}

struct registry *registry_open(const struct registry_config *config)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (registry == NULL)
        abort();
    registry->config = *config;
    uv_timer_init(run_loop(config->run), &registry->timer);
    registry->timer.data = registry;
    registry->bucket =
        bucket_open(config->run, &(struct bucket_config){.stream = STREAM_HOOKS,
                                                         .subject = SUBJECT_HOOKS,
                                                         .descriptor = &hr__hook__descriptor,
                                                         .on_change = on_change,
                                                         .ctx = registry});
    return registry;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void registry_close(struct registry *registry)
{
    if (registry == NULL)
        return;
    end_waits(registry, true);
    bucket_close(registry->bucket);
    uv_close((uv_handle_t *)&registry->timer, on_closed);
}

bool registry_is_current(const struct registry *registry)
{
    return bucket_is_current(registry->bucket);
}

struct counting {
    const char *tenant;
    size_t count;
};

static void count(void *ctx, const char *key, const ProtobufCMessage *hook)
{
    struct counting *counting = ctx;

    (void)hook;
    counting->count += counting->tenant == NULL ||
                       (strncmp(key, counting->tenant, strlen(counting->tenant)) == 0 &&
                        key[strlen(counting->tenant)] == '.');
}

size_t registry_count(const struct registry *registry, const char *tenant)
{
    struct counting counting = {tenant, 0};

    bucket_each(registry->bucket, count, &counting);
    return counting.count;
}

const Hr__Hook *registry_find(const struct registry *registry, const char *key)
{
    return (const Hr__Hook *)bucket_find(registry->bucket, key);
}

void registry_each(const struct registry *registry,
                   void (*visit)(void *ctx, const char *key, const ProtobufCMessage *hook),
                   void *ctx)
{
    bucket_each(registry->bucket, visit, ctx);
}
