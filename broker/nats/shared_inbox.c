// Finds the receiver of a message by the number in its subject or the consumer it comes from.
#include "broker/nats/shared_inbox.h"

#include "broker/base/digest.h"
#include "broker/base/id.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_HEX_BYTES 33
#define TOKENS_MAX 16
#define PREFIX_BYTES (DELIVERY_INBOX_BYTES - 20) // a number in hex follows

struct shared_inbox {
    struct conn *conn;
    struct subscription *sub;
    struct receiver *by_number;
    struct receiver *by_name;
    uint64_t last_number;
    char prefix[PREFIX_BYTES]; // ends in a dot
};

// The parts of an acknowledgement subject that say where a message comes from:
// $JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>, and since 2.15
// $JS.ACK.<domain>.<account>.<stream>.<consumer>.<...>
bool origin_read(const struct msg *msg, struct origin *origin)
{
    const char *tokens[TOKENS_MAX];
    size_t count = 0;
    size_t base;

    for (const char *at = msg_reply(msg); at != NULL && count < TOKENS_MAX; count++) {
        tokens[count] = at;
        at = strchr(at, '.');
        if (at != NULL)
            at++;
    }
    if (count != 9 && count < 11)
        return false;
    base = count == 9 ? 2 : 4;
    *origin = (struct origin){
        .stream = tokens[base],
        .stream_len = strcspn(tokens[base], "."),
        .consumer = tokens[base + 1],
        .consumer_len = strcspn(tokens[base + 1], "."),
        .sequence = strtoull(tokens[base + 3], NULL, 10),
        .number = strtoull(tokens[base + 4], NULL, 10),
        .pending = strtoull(tokens[base + 6], NULL, 10),
    };
    return origin->sequence > 0;
}

static struct receiver *find_by_subject(struct shared_inbox *shared, const char *subject)
{
    size_t len = strlen(shared->prefix);
    struct receiver *receiver = NULL;
    uint64_t number;
    char *end;

    if (strncmp(subject, shared->prefix, len) != 0)
        return NULL;
    number = strtoull(subject + len, &end, 16);
    if (*end == '.')
        HASH_FIND(by_number, shared->by_number, &number, sizeof number, receiver);
    return receiver;
}

static struct receiver *find_by_origin(struct shared_inbox *shared, const struct msg *msg)
{
    struct receiver *receiver = NULL;
    struct origin origin;
    char name[DELIVERY_INBOX_BYTES];
    int len;

    if (!origin_read(msg, &origin))
        return NULL;
    len = snprintf(name, sizeof name, "%.*s.%.*s", (int)origin.stream_len, origin.stream,
                   (int)origin.consumer_len, origin.consumer);
    if (len > 0 && (size_t)len < sizeof name)
        HASH_FIND(by_name, shared->by_name, name, (unsigned)len, receiver);
    return receiver;
}

static void on_message(void *ctx, struct msg *msg)
{
    struct shared_inbox *shared = ctx;
    struct receiver *receiver = find_by_subject(shared, msg_subject(msg));

    if (receiver == NULL)
        receiver = find_by_origin(shared, msg);
    if (receiver != NULL)
        receiver->on_message(receiver->ctx, msg);
}

enum rc shared_inbox_open(struct shared_inbox **out, struct conn *conn, const char *inbox)
{
    struct shared_inbox *shared = calloc(1, sizeof *shared);
    uint8_t random[(RANDOM_HEX_BYTES - 1) / 2];
    char hex[RANDOM_HEX_BYTES];
    char subject[DELIVERY_INBOX_BYTES + 4];
    enum rc rc;
    int len;

    if (shared == NULL)
        abort();
    shared->conn = conn;
    random_bytes(random, sizeof random);
    hex_format(hex, random, sizeof random);
    len = snprintf(shared->prefix, sizeof shared->prefix, "_INBOX.%s.%s.", inbox, hex);
    assert(len > 0 && (size_t)len < sizeof shared->prefix);
    (void)snprintf(subject, sizeof subject, "%s*.*", shared->prefix);
    rc = conn_subscribe(&shared->sub, conn, subject, NULL, on_message, shared);
    if (rc != RC_OK) {
        free(shared);
        return rc;
    }
    *out = shared;
    return RC_OK;
}

void shared_inbox_close(struct shared_inbox *shared)
{
    if (shared == NULL)
        return;
    assert(shared->by_number == NULL);
    conn_unsubscribe(shared->sub);
    free(shared);
}

void shared_inbox_add(struct shared_inbox *shared, struct receiver *receiver,
                      char inbox[DELIVERY_INBOX_BYTES])
{
    receiver->number = ++shared->last_number;
    HASH_ADD(by_number, shared->by_number, number, sizeof receiver->number, receiver);
    (void)snprintf(inbox, DELIVERY_INBOX_BYTES, "%s%" PRIx64, shared->prefix, receiver->number);
}

void shared_inbox_name(struct shared_inbox *shared, struct receiver *receiver, const char *stream,
                       const char *consumer)
{
    if (receiver->is_named)
        HASH_DELETE(by_name, shared->by_name, receiver);
    receiver->is_named = *consumer != '\0';
    if (!receiver->is_named)
        return;
    (void)snprintf(receiver->name, sizeof receiver->name, "%s.%s", stream, consumer);
    HASH_ADD_KEYPTR(by_name, shared->by_name, receiver->name, (unsigned)strlen(receiver->name),
                    receiver);
}

void shared_inbox_remove(struct shared_inbox *shared, struct receiver *receiver)
{
    shared_inbox_name(shared, receiver, "", "");
    HASH_DELETE(by_number, shared->by_number, receiver);
}
