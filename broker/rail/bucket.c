// A hash table by key, filled from the stream behind the bucket.
//
// A value lives in an arena of its own, so that one can be replaced without the others.
#include "broker/rail/bucket.h"

#include "broker/base/log.h"
#include "broker/nats/consume.h"

#include <stdlib.h>
#include <uthash.h>

#define WINDOW 1000
#define ARENA_BYTES 1024

struct entry {
    UT_hash_handle hh;
    struct arena *arena;
    ProtobufCMessage *value;
    char key[];
};

struct bucket {
    struct bucket_config config;
    struct consumer_config follow;
    struct consumer *consumer;
    struct entry *entries;
    size_t prefix; // length of what stands before the key in a subject
    uint64_t position;
    bool current;
};

static void entry_free(struct entry *entry)
{
    arena_destroy(entry->arena);
    free(entry);
}

static struct entry *find(const struct bucket *bucket, const char *key)
{
    struct entry *entry = NULL;

    HASH_FIND_STR(bucket->entries, key, entry);
    return entry;
}

static void put(struct bucket *bucket, const char *key, struct arena *arena,
                ProtobufCMessage *value)
{
    struct entry *entry = find(bucket, key);
    size_t len = strlen(key);

    if (entry == NULL) {
        entry = calloc(1, sizeof *entry + len + 1);
        if (entry == NULL)
            abort();
        memcpy(entry->key, key, len + 1);
        HASH_ADD_KEYPTR(hh, bucket->entries, entry->key, len, entry);
    } else {
        arena_destroy(entry->arena);
    }
    entry->arena = arena;
    entry->value = value;
}

static void remove_key(struct bucket *bucket, const char *key)
{
    struct entry *entry = find(bucket, key);

    if (entry == NULL)
        return;
    HASH_DEL(bucket->entries, entry);
    entry_free(entry);
}

// A value that cannot be read counts as none: guessing at a setting would be worse.
static void take(struct bucket *bucket, const char *key, const struct msg *msg)
{
    struct arena *arena = arena_create(ARENA_BYTES);
    ProtobufCMessage *value = NULL;
    bool gone = msg_header(msg, "KV-Operation") != NULL; // DEL or PURGE

    if (!gone && wire_unpack(&value, arena, bucket->config.descriptor, msg_data(msg),
                             msg_len(msg)) != RC_OK) {
        log_warn("bucket.unreadable", "stream=%s key=%.64s", bucket->config.stream, key);
        value = NULL;
    }
    if (value != NULL) {
        put(bucket, key, arena, value);
    } else {
        arena_destroy(arena);
        remove_key(bucket, key);
    }
    if (bucket->config.on_change != NULL)
        bucket->config.on_change(bucket->config.ctx, key, value);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct bucket *bucket = ctx;
    const char *subject = msg_subject(msg);

    bucket->position = delivery->sequence;
    if (strncmp(subject, bucket->config.subject, bucket->prefix) == 0)
        take(bucket, subject + bucket->prefix, msg);
    consumer_release(bucket->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct bucket *bucket = ctx;

    bucket->current = current;
}

// What is not there any more must not count: everything is forgotten and heard again.
static void on_rewound(void *ctx, uint64_t place)
{
    struct bucket *bucket = ctx;

    struct entry *entry = bucket->entries;
    struct entry *next;

    (void)place;
    HASH_CLEAR(hh, bucket->entries); // the table; what was in it is still linked
    for (; entry != NULL; entry = next) {
        next = entry->hh.next;
        if (bucket->config.on_change != NULL)
            bucket->config.on_change(bucket->config.ctx, entry->key, NULL);
        entry_free(entry);
    }
}

struct bucket *bucket_open(struct run *run, const struct bucket_config *config)
{
    struct bucket *bucket = calloc(1, sizeof *bucket);

    if (bucket == NULL)
        abort();
    bucket->config = *config;
    bucket->prefix = strlen(config->subject) - 1; // without the ">"
    bucket->follow = (struct consumer_config){
        .inbox = run_name(run),
        .stream = config->stream,
        .filter = config->subject,
        .from = CONSUME_LAST_PER_SUBJECT,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .on_rewound = on_rewound,
        .ctx = bucket,
    };
    bucket->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &bucket->follow);
    return bucket;
}

void bucket_close(struct bucket *bucket)
{
    struct entry *entry;
    struct entry *next;

    if (bucket == NULL)
        return;
    consumer_close(bucket->consumer);
    entry = bucket->entries;
    HASH_CLEAR(hh, bucket->entries); // the table; what was in it is still linked
    for (; entry != NULL; entry = next) {
        next = entry->hh.next;
        entry_free(entry);
    }
    free(bucket);
}

bool bucket_is_current(const struct bucket *bucket)
{
    return bucket->current;
}

uint64_t bucket_position(const struct bucket *bucket)
{
    return bucket->position;
}

const ProtobufCMessage *bucket_find(const struct bucket *bucket, const char *key)
{
    const struct entry *entry = find(bucket, key);

    return entry != NULL ? entry->value : NULL;
}

void bucket_each(const struct bucket *bucket,
                 void (*visit)(void *ctx, const char *key, const ProtobufCMessage *value),
                 void *ctx)
{
    for (const struct entry *entry = bucket->entries; entry != NULL; entry = entry->hh.next)
        visit(ctx, entry->key, entry->value);
}
