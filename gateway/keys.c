// The bucket of keys, in a hash table by digest.
//
// The stream behind the bucket is followed like any other; what it says last of a key is what
// holds. An entry of a deleted key stays as a tombstone: there are few of them, and the table needs
// no deletion.
#include "gateway/keys.h"

#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/nats/consume.h"
#include "broker/nats/subjects.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS_FIRST 64
#define WINDOW 1000
#define PREFIX "$KV." BUCKET_KEYS "."
#define ARENA_BYTES 4096

struct entry {
    bool used;
    bool deleted;
    char digest[DIGEST_HEX_BYTES];
    char id[TOKEN_MAX + 1];
    char tenant[TOKEN_MAX + 1];
    char role[TOKEN_MAX + 1];
    struct key key;
};

struct keys {
    struct consumer_config config;
    struct consumer *consumer;
    struct arena *arena; // for one entry being read
    struct entry *entries;
    size_t slots; // a power of two
    size_t count;
    bool current;
};

static size_t find(const struct entry *entries, size_t slots, const char *digest)
{
    // The digest is as good as random: its first digits are the hash.
    char head[17];
    size_t at;

    memcpy(head, digest, 16);
    head[16] = '\0';
    at = strtoull(head, NULL, 16) & (slots - 1);
    while (entries[at].used && strcmp(entries[at].digest, digest) != 0)
        at = (at + 1) & (slots - 1);
    return at;
}

static struct entry *entries_create(size_t slots)
{
    struct entry *entries = calloc(slots, sizeof *entries);

    if (entries == NULL)
        abort();
    return entries;
}

// Pointers into the entry itself: to be renewed whenever it moves.
static void point(struct entry *entry)
{
    entry->key.id = entry->id;
    entry->key.tenant = entry->tenant;
    entry->key.role = entry->role;
}

static void grow(struct keys *keys)
{
    size_t slots = keys->slots * 2;
    struct entry *entries = entries_create(slots);

    for (size_t i = 0; i < keys->slots; i++) {
        if (keys->entries[i].used) {
            struct entry *entry = &entries[find(entries, slots, keys->entries[i].digest)];

            *entry = keys->entries[i];
            point(entry);
        }
    }
    free(keys->entries);
    keys->entries = entries;
    keys->slots = slots;
}

static struct entry *entry_for(struct keys *keys, const char *digest)
{
    struct entry *entry = &keys->entries[find(keys->entries, keys->slots, digest)];

    if (entry->used)
        return entry;
    if (++keys->count * 2 > keys->slots) {
        grow(keys);
        entry = &keys->entries[find(keys->entries, keys->slots, digest)];
    }
    entry->used = true;
    (void)snprintf(entry->digest, sizeof entry->digest, "%s", digest);
    point(entry);
    return entry;
}

static bool copy_token(char *to, Text from)
{
    if (!token_is_safe((const char *)from.data, from.len))
        return false;
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
    return true;
}

// An entry we cannot use is no key: whatever it says, nobody gets in with it.
static void take(struct keys *keys, struct entry *entry, const struct msg *msg)
{
    ProtobufCMessage *message;
    const Hr__ApiKey *key;

    entry->deleted = true;
    if (msg_header(msg, "KV-Operation") != NULL)
        return; // DEL or PURGE
    if (wire_unpack(&message, keys->arena, &hr__api_key__descriptor, msg_data(msg), msg_len(msg)) !=
        RC_OK) {
        log_warn("keys.unreadable", "digest=%.8s", entry->digest);
        return;
    }
    key = (const Hr__ApiKey *)message;
    if (!copy_token(entry->id, key->id) || !copy_token(entry->tenant, key->tenant) ||
        !copy_token(entry->role, key->role) || strcmp(entry->tenant, TENANT_PLATFORM) == 0) {
        log_warn("keys.unsafe", "digest=%.8s", entry->digest);
        return;
    }
    entry->key.revoked = key->revoked;
    entry->deleted = false;
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct keys *keys = ctx;
    const char *digest = msg_subject(msg) + sizeof PREFIX - 1;

    (void)delivery;
    if (strncmp(msg_subject(msg), PREFIX, sizeof PREFIX - 1) == 0 &&
        strlen(digest) == DIGEST_HEX_BYTES - 1 &&
        strspn(digest, "0123456789abcdef") == strlen(digest))
        take(keys, entry_for(keys, digest), msg);
    arena_reset(keys->arena);
    consumer_release(keys->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct keys *keys = ctx;

    keys->current = current;
}

// A key that is not there any more must let nobody in: all are heard again.
static void on_rewound(void *ctx, uint64_t place)
{
    struct keys *keys = ctx;

    (void)place;
    for (size_t i = 0; i < keys->slots; i++)
        keys->entries[i].deleted = true;
}

struct keys *keys_open(struct run *run)
{
    struct keys *keys = calloc(1, sizeof *keys);

    if (keys == NULL)
        abort();
    keys->arena = arena_create(ARENA_BYTES);
    keys->slots = SLOTS_FIRST;
    keys->entries = entries_create(keys->slots);
    keys->config = (struct consumer_config){
        .inbox = run_name(run),
        .stream = STREAM_KEYS,
        .filter = SUBJECT_KEYS,
        .from = CONSUME_LAST_PER_SUBJECT,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .on_rewound = on_rewound,
        .ctx = keys,
    };
    keys->consumer = consumer_open(run_requests(run), run_conn(run), run_loop(run), &keys->config);
    return keys;
}

void keys_close(struct keys *keys)
{
    if (keys == NULL)
        return;
    consumer_close(keys->consumer);
    arena_destroy(keys->arena);
    free(keys->entries);
    free(keys);
}

bool keys_are_current(const struct keys *keys)
{
    return keys->current;
}

size_t keys_count(const struct keys *keys, const char *tenant)
{
    size_t count = 0;

    for (size_t i = 0; i < keys->slots; i++) {
        const struct entry *entry = &keys->entries[i];

        count += entry->used && !entry->deleted && !entry->key.revoked &&
                 (tenant == NULL || strcmp(entry->tenant, tenant) == 0);
    }
    return count;
}

const struct key *keys_find(const struct keys *keys, const uint8_t digest[DIGEST_BYTES])
{
    char hex[DIGEST_HEX_BYTES];
    const struct entry *entry;

    hex_format(hex, digest, DIGEST_BYTES);
    entry = &keys->entries[find(keys->entries, keys->slots, hex)];
    return entry->used && !entry->deleted ? &entry->key : NULL;
}
