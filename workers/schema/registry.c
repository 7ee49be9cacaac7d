// A bucket that is followed, and a direct look into the stream for what it has not brought yet.
#include "workers/schema/registry.h"

#include "broker/base/log.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_WAIT_MS 2000
#define LOOK_MS 100

// A schema that was stored and is not known here yet.
struct awaited {
    const char *key;
    int64_t deadline_ns;
    void (*done)(void *ctx);
    void *ctx;
    struct awaited *next;
};

struct registry {
    struct run *run;
    struct bucket *bucket;
    struct awaited *awaited;
    uv_timer_t *timer; // freed in its close callback
};

static const char *key_of_id(struct arena *arena, const char *tenant, Text id)
{
    char *key = arena_alloc(arena, SCHEMA_KEY_BYTES);
    char text[UUID_TEXT_BYTES];
    struct uuid uuid;

    if (uuid_parse((const char *)id.data, id.len, &uuid) != NULL)
        return NULL;
    uuid_format(text, &uuid);
    registry_key(key, tenant, text);
    return key;
}

// --- awaiting ------------------------------------------------------------------------------------

// Those that are known now, or, all: those that have waited long enough as well.
static void settle(struct registry *registry, int64_t now_ns)
{
    struct awaited **at = &registry->awaited;

    while (*at != NULL) {
        struct awaited *awaited = *at;

        if (registry_known(registry, awaited->key) == NULL && now_ns < awaited->deadline_ns) {
            at = &awaited->next;
            continue;
        }
        *at = awaited->next;
        awaited->done(awaited->ctx); // it and its arena are gone
    }
    if (registry->awaited == NULL)
        uv_timer_stop(registry->timer);
}

static void on_timer(uv_timer_t *timer)
{
    settle(timer->data, clock_now_ns());
}

static void on_change(void *ctx, const char *key, const ProtobufCMessage *value)
{
    struct registry *registry = ctx;

    (void)key;
    (void)value;
    if (registry->awaited != NULL)
        settle(registry, clock_now_ns());
}

void registry_await(struct registry *registry, const char *key, struct arena *arena,
                    void (*done)(void *ctx), void *ctx)
{
    struct awaited *awaited;

    if (registry_known(registry, key) != NULL) {
        done(ctx);
        return;
    }
    awaited = arena_alloc(arena, sizeof *awaited);
    *awaited = (struct awaited){key, clock_now_ns() + SEEN_WAIT_MS * INT64_C(1000000), done, ctx,
                                registry->awaited};
    registry->awaited = awaited;
    uv_timer_start(registry->timer, on_timer, LOOK_MS, LOOK_MS);
}

// --- the registry --------------------------------------------------------------------------------

struct registry *registry_open(struct run *run)
{
    struct registry *registry = calloc(1, sizeof *registry);
    const struct bucket_config config = {
        .stream = STREAM_SCHEMAS,
        .subject = SUBJECT_SCHEMAS,
        .descriptor = &hr__schema__descriptor,
        .on_change = on_change,
        .ctx = registry,
    };

    if (registry == NULL)
        abort();
    registry->run = run;
    registry->timer = calloc(1, sizeof *registry->timer);
    if (registry->timer == NULL)
        abort();
    uv_timer_init(run_loop(run), registry->timer);
    registry->timer->data = registry;
    registry->bucket = bucket_open(run, &config);
    return registry;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer);
}

void registry_close(struct registry *registry)
{
    if (registry == NULL)
        return;
    bucket_close(registry->bucket);
    uv_close((uv_handle_t *)registry->timer, on_closed);
    free(registry);
}

bool registry_is_current(const struct registry *registry)
{
    return bucket_is_current(registry->bucket);
}

void registry_put(struct registry *registry, const char *tenant, const char *id, Text value,
                  entry_put_fn done, void *ctx)
{
    char subject[SUBJECT_BYTES];
    const struct entry_put put = {.subject = subject, .data = value.data, .len = value.len};

    subject_schema(subject, tenant, id);
    entry_put(run_requests(registry->run), run_name(registry->run), &put, done, ctx);
}

void registry_key(char key[SCHEMA_KEY_BYTES], const char *tenant, const char *id)
{
    int len = snprintf(key, SCHEMA_KEY_BYTES, "%s.%s", tenant, id);

    assert(len > 0 && len < SCHEMA_KEY_BYTES);
    (void)len;
}

const Hr__Schema *registry_known(const struct registry *registry, const char *key)
{
    return (const Hr__Schema *)bucket_find(registry->bucket, key);
}

// --- lists ---------------------------------------------------------------------------------------

struct listing {
    const char *tenant;
    struct arena *arena;
    const Hr__Schema **items;
    size_t count;
    size_t room;
};

static void list_one(void *ctx, const char *key, const ProtobufCMessage *value)
{
    struct listing *listing = ctx;
    size_t len = strlen(listing->tenant);

    if (strncmp(key, listing->tenant, len) != 0 || key[len] != '.')
        return;
    if (listing->count == listing->room) {
        const Hr__Schema **items;

        listing->room = listing->room > 0 ? listing->room * 2 : 64;
        items = arena_calloc(listing->arena, listing->room, sizeof(void *));
        if (listing->count > 0)
            memcpy(items, listing->items, listing->count * sizeof(void *));
        listing->items = items;
    }
    listing->items[listing->count++] = (const Hr__Schema *)value;
}

static int by_age(const void *left, const void *right)
{
    const Hr__Schema *a = *(const Hr__Schema *const *)left;
    const Hr__Schema *b = *(const Hr__Schema *const *)right;
    int64_t a_us = wire_timestamp_us(a->created_at);
    int64_t b_us = wire_timestamp_us(b->created_at);
    size_t len = a->id.len < b->id.len ? a->id.len : b->id.len;

    if (a_us != b_us)
        return a_us < b_us ? 1 : -1;
    return memcmp(b->id.data, a->id.data, len);
}

const Hr__Schema **registry_list(const struct registry *registry, const char *tenant,
                                 struct arena *arena, size_t *count)
{
    struct listing listing = {.tenant = tenant, .arena = arena};

    bucket_each(registry->bucket, list_one, &listing);
    if (listing.count > 0)
        qsort(listing.items, listing.count, sizeof(void *), by_age);
    *count = listing.count;
    return listing.items;
}

// --- one -----------------------------------------------------------------------------------------

struct finding {
    struct arena *arena;
    const char *key;
    registry_found_fn done;
    void *ctx;
};

static void on_found(void *ctx, enum rc rc, struct msg *msg, uint64_t sequence)
{
    struct finding *finding = ctx;
    ProtobufCMessage *message = NULL;

    (void)sequence;
    if (rc == RC_OK && wire_unpack(&message, finding->arena, &hr__schema__descriptor, msg_data(msg),
                                   msg_len(msg)) != RC_OK) {
        log_error("schema.unreadable", "key=%s", finding->key);
        rc = RC_CORRUPT;
    }
    finding->done(finding->ctx, rc, finding->key, (const Hr__Schema *)message);
}

void registry_find(struct registry *registry, const char *tenant, Text id, struct arena *arena,
                   registry_found_fn done, void *ctx)
{
    const char *key = key_of_id(arena, tenant, id);
    struct finding *finding;
    const Hr__Schema *known;
    char subject[SUBJECT_BYTES];

    if (key == NULL) {
        done(ctx, RC_NOT_FOUND, NULL, NULL);
        return;
    }
    known = registry_known(registry, key);
    if (known != NULL) {
        done(ctx, RC_OK, key, known);
        return;
    }
    finding = arena_alloc(arena, sizeof *finding);
    *finding = (struct finding){arena, key, done, ctx};
    subject_schema(subject, tenant, key + strlen(tenant) + 1);
    entry_get(run_requests(registry->run), run_name(registry->run), STREAM_SCHEMAS, subject,
              on_found, finding);
}
