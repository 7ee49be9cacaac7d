// The table of requests that wait for an answer.
//
// One wildcard subscription takes all answers, and the word that nobody was there to take a
// request: that fails this request alone, and says that nothing was done. A slot is named by its
// index and a generation, so that a late answer to a request that has timed out finds nothing. A
// request that was answered leaves no late answer behind: its reply subject is used again, which
// spares the server from matching a new subject for every message. Deadlines are looked at every
// TICK_MS while anything waits; when nothing does, no timer runs.
#include "broker/nats/request.h"

#include "broker/base/buf.h"
#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 50
#define SLOTS_FIRST 256
#define NAME_HEX_BYTES 33
#define INBOX_PREFIX "_INBOX."

struct slot {
    request_done_fn done; // NULL: free
    void *ctx;
    int64_t deadline_ns;
    uint32_t generation;
    uint32_t next_free;
    bool failing;              // it is among those that fail_all is about
    char inbox[TOKEN_MAX + 1]; // where its answer comes to
    struct buf parts;          // of an answer that comes in several messages
    unsigned long part_count;  // how many that are; 0: none has come yet
    unsigned long parts_seen;
};

struct requests {
    struct conn *conn;
    const char *inbox;
    struct subscription *sub; // of all answers; NULL: not made yet
    uv_timer_t timer;
    char name[NAME_HEX_BYTES]; // ours alone among all programs on this NATS
    struct slot *slots;
    uint32_t slot_count;
    uint32_t free; // index of the first free slot, slot_count: none
    size_t pending;
    bool closing;
};

static void grow(struct requests *requests)
{
    uint32_t count = requests->slot_count > 0 ? requests->slot_count * 2 : SLOTS_FIRST;
    struct slot *slots = realloc(requests->slots, count * sizeof *slots);

    if (slots == NULL)
        abort();
    memset(slots + requests->slot_count, 0, (count - requests->slot_count) * sizeof *slots);
    for (uint32_t i = requests->slot_count; i < count; i++)
        slots[i].next_free = i + 1;
    requests->slots = slots;
    requests->free = requests->slot_count;
    requests->slot_count = count;
}

static void finish(struct requests *requests, struct slot *slot, enum rc rc, struct msg *reply)
{
    request_done_fn done = slot->done;
    void *ctx = slot->ctx;

    slot->done = NULL;
    slot->failing = false;
    buf_fini(&slot->parts);
    slot->part_count = 0;
    slot->parts_seen = 0;
    if (rc != RC_OK)
        slot->generation++; // its answer may still come
    slot->next_free = requests->free;
    requests->free = (uint32_t)(slot - requests->slots);
    if (--requests->pending == 0)
        uv_timer_stop(&requests->timer);
    done(ctx, rc, reply); // may send again, and so move the slots
}

static void on_tick(uv_timer_t *timer)
{
    struct requests *requests = timer->data;
    int64_t now = clock_now_ns();

    for (uint32_t i = 0; i < requests->slot_count; i++) {
        struct slot *slot = &requests->slots[i];

        if (slot->done != NULL && slot->deadline_ns <= now)
            finish(requests, slot, RC_TIMEOUT, NULL);
    }
}

// What the callbacks send meanwhile is not failed with the rest.
static void fail_all(struct requests *requests, enum rc rc)
{
    for (uint32_t i = 0; i < requests->slot_count; i++) {
        struct slot *slot = &requests->slots[i];

        slot->failing = slot->done != NULL;
    }
    for (uint32_t i = 0; i < requests->slot_count; i++) {
        if (requests->slots[i].failing)
            finish(requests, &requests->slots[i], rc, NULL);
    }
}

static void on_state(void *ctx, bool up)
{
    if (!up)
        fail_all(ctx, RC_TIMEOUT);
}

// A client that receives answers in one inbox must not be able to answer a request of another:
// names and slots can be seen or guessed, the inbox is what NATS' permissions protect.
static bool is_in_inbox(const char *subject, const char *inbox)
{
    const char *token = subject + sizeof INBOX_PREFIX - 1; // the subscription has that prefix
    size_t len = strlen(inbox);

    return strncmp(token, inbox, len) == 0 && token[len] == '.';
}

// The reply subject ends in .<generation>-<index>, both in hex.
static struct slot *find(struct requests *requests, const char *subject)
{
    const char *last = strrchr(subject, '.');
    unsigned long generation;
    unsigned long index;
    char *end;

    if (last == NULL)
        return NULL;
    generation = strtoul(last + 1, &end, 16);
    if (*end != '-')
        return NULL;
    index = strtoul(end + 1, &end, 16);
    if (*end != '\0' || index >= requests->slot_count)
        return NULL;
    if (requests->slots[index].done == NULL || requests->slots[index].generation != generation ||
        !is_in_inbox(subject, requests->slots[index].inbox))
        return NULL;
    return &requests->slots[index];
}

// "<number>/<count>". False: it is something else.
static bool read_mark(const char *mark, unsigned long *number, unsigned long *count)
{
    char *end;

    *number = strtoul(mark, &end, 10);
    if (*end != '/' || *mark < '0' || *mark > '9')
        return false;
    *count = strtoul(end + 1, &end, 10);
    return *end == '\0' && *number > 0 && *number <= *count;
}

// Parts come in order, each marked "<number>/<count>" (one publisher, one subject, one connection).
// One that is missing or comes twice means that the rest is not the whole answer.
static void take_part(struct requests *requests, struct slot *slot, struct msg *msg,
                      const char *mark)
{
    unsigned long number;
    unsigned long count;
    struct msg *whole;

    if (!read_mark(mark, &number, &count) || number != slot->parts_seen + 1 ||
        (slot->part_count != 0 && count != slot->part_count)) {
        log_warn("request.parts", "mark=\"%.32s\" seen=%lu", mark, slot->parts_seen);
        finish(requests, slot, RC_TIMEOUT, NULL);
        return;
    }
    if (slot->parts.len + msg_len(msg) > REPLY_BYTES_MAX) {
        finish(requests, slot, RC_TOO_LARGE, NULL);
        return;
    }
    slot->part_count = count;
    slot->parts_seen = number;
    buf_append(&slot->parts, msg_data(msg), msg_len(msg));
    if (number < count)
        return;
    whole = msg_with_data(msg, slot->parts.data, slot->parts.len);
    finish(requests, slot, RC_OK, whole);
    msg_free(whole);
}

static void on_reply(void *ctx, struct msg *msg)
{
    struct requests *requests = ctx;
    struct slot *slot = find(requests, msg_subject(msg));
    const char *part;

    if (slot == NULL)
        return; // too late, or not for us
    if (msg_is_no_responders(msg)) {
        finish(requests, slot, RC_UNAVAILABLE, NULL); // nothing was done
        return;
    }
    part = msg_header(msg, HEADER_PART);
    if (part != NULL)
        take_part(requests, slot, msg, part);
    else if (slot->parts_seen > 0)
        finish(requests, slot, RC_TIMEOUT, NULL); // its other parts are missing
    else
        finish(requests, slot, RC_OK, msg);
}

static bool can_be_answered(struct requests *requests)
{
    char subject[REPLY_BYTES];

    if (requests->sub != NULL)
        return true;
    (void)snprintf(subject, sizeof subject, INBOX_PREFIX "%s.%s.*", requests->inbox,
                   requests->name);
    return conn_subscribe(&requests->sub, requests->conn, subject, NULL, on_reply, requests) ==
           RC_OK;
}

struct requests *requests_open(struct conn *conn, uv_loop_t *loop, const char *inbox)
{
    struct requests *requests = calloc(1, sizeof *requests);
    uint8_t random[(NAME_HEX_BYTES - 1) / 2];

    if (requests == NULL)
        abort();
    requests->conn = conn;
    requests->inbox = inbox;
    random_bytes(random, sizeof random);
    hex_format(requests->name, random, sizeof random);
    uv_timer_init(loop, &requests->timer);
    requests->timer.data = requests;
    conn_on_state(conn, on_state, requests);
    return requests;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct requests *requests = handle->data;

    free(requests->slots);
    free(requests);
}

struct conn *requests_conn(const struct requests *requests)
{
    return requests->conn;
}

void requests_close(struct requests *requests)
{
    if (requests == NULL)
        return;
    requests->closing = true;
    conn_unsubscribe(requests->sub);
    conn_forget_state(requests->conn, requests);
    fail_all(requests, RC_CLOSED);
    uv_close((uv_handle_t *)&requests->timer, on_timer_closed);
}

// Fills a free slot's reply subject; the slot is taken by take_slot.
static void name_reply(struct requests *requests, const char *inbox, char reply[REPLY_BYTES])
{
    const struct slot *slot;
    int len;

    if (requests->free == requests->slot_count)
        grow(requests);
    slot = &requests->slots[requests->free];
    assert(strlen(inbox) <= TOKEN_MAX);
    len = snprintf(reply, REPLY_BYTES, INBOX_PREFIX "%s.%s.%" PRIx32 "-%" PRIx32, inbox,
                   requests->name, slot->generation, requests->free);
    assert(len > 0 && (size_t)len < REPLY_BYTES);
}

static void take_slot(struct requests *requests, const char *inbox, int64_t timeout_ms,
                      request_done_fn done, void *ctx)
{
    struct slot *slot = &requests->slots[requests->free];

    requests->free = slot->next_free;
    slot->done = done;
    slot->ctx = ctx;
    (void)snprintf(slot->inbox, sizeof slot->inbox, "%s", inbox);
    slot->deadline_ns = clock_now_ns() + timeout_ms * 1000000;
    if (requests->pending++ == 0)
        uv_timer_start(&requests->timer, on_tick, TICK_MS, TICK_MS);
}

void request_send(struct requests *requests, const struct request *request)
{
    char own[REPLY_BYTES];
    char *reply = request->reply != NULL ? request->reply : own;
    const char *inbox = request->inbox != NULL ? request->inbox : requests->inbox;
    enum rc rc;

    if (requests->closing || !can_be_answered(requests)) {
        request->done(request->ctx, requests->closing ? RC_CLOSED : RC_UNAVAILABLE, NULL);
        return;
    }
    name_reply(requests, inbox, reply);
    rc = conn_publish(requests->conn, request->subject, reply, request->headers,
                      request->header_count, request->data, request->len);
    if (rc != RC_OK) {
        request->done(request->ctx, rc, NULL);
        return;
    }
    take_slot(requests, inbox, request->timeout_ms, request->done, request->ctx);
}

enum rc request_expect(struct requests *requests, int64_t timeout_ms, request_done_fn done,
                       void *ctx, char reply[REPLY_BYTES])
{
    if (requests->closing || !can_be_answered(requests))
        return RC_UNAVAILABLE;
    name_reply(requests, requests->inbox, reply);
    take_slot(requests, requests->inbox, timeout_ms, done, ctx);
    return RC_OK;
}
