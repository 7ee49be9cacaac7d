#include "tests/unit/fake_rail.h"

#include "broker/nats/state_listeners.h"
#include "broker/rail/alarm.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define MAX_PAYLOAD_BYTES (8 * 1024 * 1024)
#define HEADERS_MAX 8

struct subscription {
    char *subject;
    conn_message_fn on_message;
    void *ctx;
    bool closed;
    struct subscription *next;
};

struct msg {
    const char *subject;
    const char *reply;
    const struct header *headers;
    size_t header_count;
    const void *data;
    size_t len;
    bool is_no_responders;
    char *owned; // by msg_with_data
};

struct alarm {
    void (*ring)(void *ctx);
    void *ctx;
    int64_t at_us;
};

struct timer {
    uv_timer_t *handle;
    uv_timer_cb callback;
    int64_t at_us;
    int64_t repeat_us;
    struct timer *next;
};

struct conn {
    int unused;
};

struct run {
    int unused;
};

static struct {
    struct conn conn;
    struct run run;
    uv_loop_t loop;
    int64_t now_us;
    bool is_up;
    struct state_listeners listeners;
    struct subscription *subs;
    struct fake_sent *sent;
    size_t sent_count;
    struct alarm *alarm;
    struct timer *timers;
} fake;

static void *must(void *memory)
{
    cr_assert_not_null(memory);
    return memory;
}

static char *copy_of(const void *data, size_t len)
{
    char *copy = must(malloc(len + 1));

    memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void fake_rail_open(void)
{
    memset(&fake, 0, sizeof fake);
    fake.now_us = FAKE_START_US;
    fake.is_up = true;
}

void fake_rail_close(void)
{
    struct subscription *sub;
    struct subscription *next_sub;
    struct timer *timer;
    struct timer *next_timer;

    LL_FOREACH_SAFE(fake.subs, sub, next_sub)
    {
        free(sub->subject);
        free(sub);
    }
    LL_FOREACH_SAFE(fake.timers, timer, next_timer)
    {
        free(timer);
    }
    for (size_t i = 0; i < fake.sent_count; i++) {
        free(fake.sent[i].subject);
        free(fake.sent[i].reply);
        free(fake.sent[i].data);
    }
    free(fake.sent);
    state_listeners_fini(&fake.listeners);
    memset(&fake, 0, sizeof fake);
}

struct run *fake_run(void)
{
    return &fake.run;
}

struct conn *fake_conn(void)
{
    return &fake.conn;
}

uv_loop_t *fake_loop(void)
{
    return &fake.loop;
}

// --- the run -------------------------------------------------------------------------------------

uv_loop_t *run_loop(struct run *run)
{
    (void)run;
    return &fake.loop;
}

struct conn *run_conn(struct run *run)
{
    (void)run;
    return &fake.conn;
}

struct store *run_store(struct run *run)
{
    (void)run;
    return NULL;
}

const char *run_name(const struct run *run)
{
    (void)run;
    return "fake";
}

// --- time ----------------------------------------------------------------------------------------

// NOLINTNEXTLINE(readability-identifier-naming): the names are the linker's
int64_t __wrap_timestamp_now_us(void);
// NOLINTNEXTLINE(readability-identifier-naming)
int64_t __wrap_clock_now_ns(void);

int64_t __wrap_timestamp_now_us(void)
{
    return fake.now_us;
}

int64_t __wrap_clock_now_ns(void)
{
    return fake.now_us * 1000;
}

int64_t fake_now_us(void)
{
    return fake.now_us;
}

struct alarm *alarm_open(uv_loop_t *loop, void (*ring)(void *ctx), void *ctx)
{
    (void)loop;
    fake.alarm = must(calloc(1, sizeof *fake.alarm));
    *fake.alarm = (struct alarm){ring, ctx, ALARM_NEVER};
    return fake.alarm;
}

void alarm_set(struct alarm *alarm, int64_t at_us)
{
    alarm->at_us = at_us;
}

void alarm_close(struct alarm *alarm)
{
    free(alarm);
    fake.alarm = NULL;
}

int64_t fake_alarm_us(void)
{
    return fake.alarm != NULL ? fake.alarm->at_us : ALARM_NEVER;
}

static struct timer *timer_of(const uv_timer_t *handle)
{
    struct timer *timer;

    LL_SEARCH_SCALAR(fake.timers, timer, handle, handle);
    return timer;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *handle)
{
    struct timer *timer = must(calloc(1, sizeof *timer));

    (void)loop;
    timer->handle = handle;
    timer->at_us = INT64_MAX;
    LL_PREPEND(fake.timers, timer);
    return 0;
}

int uv_timer_start(uv_timer_t *handle, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
    struct timer *timer = timer_of(handle);

    timer->callback = callback;
    timer->at_us = fake.now_us + (int64_t)timeout * 1000;
    timer->repeat_us = (int64_t)repeat * 1000;
    return 0;
}

int uv_timer_stop(uv_timer_t *handle)
{
    timer_of(handle)->at_us = INT64_MAX;
    return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb callback)
{
    struct timer *timer = timer_of((uv_timer_t *)handle);

    LL_DELETE(fake.timers, timer);
    free(timer);
    callback(handle);
}

static struct timer *first_timer(void)
{
    struct timer *first = NULL;
    struct timer *timer;

    LL_FOREACH(fake.timers, timer)
    {
        if (first == NULL || timer->at_us < first->at_us)
            first = timer;
    }
    return first;
}

static void ring_timer(struct timer *timer)
{
    timer->at_us = timer->repeat_us > 0 ? fake.now_us + timer->repeat_us : INT64_MAX;
    timer->callback(timer->handle);
}

static void ring_alarm(void)
{
    fake.alarm->at_us = ALARM_NEVER;
    fake.alarm->ring(fake.alarm->ctx);
}

void fake_pass_us(int64_t us)
{
    int64_t end_us = fake.now_us + us;

    for (;;) {
        struct timer *timer = first_timer();
        int64_t timer_us = timer != NULL ? timer->at_us : INT64_MAX;
        int64_t alarm_us = fake_alarm_us();
        int64_t next_us = timer_us < alarm_us ? timer_us : alarm_us;

        if (next_us > end_us)
            break;
        if (next_us > fake.now_us)
            fake.now_us = next_us;
        if (alarm_us <= timer_us)
            ring_alarm();
        else
            ring_timer(timer);
    }
    fake.now_us = end_us;
}

// --- messages ------------------------------------------------------------------------------------

const char *msg_subject(const struct msg *msg)
{
    return msg->subject;
}

const char *msg_reply(const struct msg *msg)
{
    return msg->reply;
}

bool msg_is_no_responders(const struct msg *msg)
{
    return msg->is_no_responders;
}

bool msg_headers_are_cut(const struct msg *msg)
{
    (void)msg;
    return false;
}

bool msg_headers_are_sound(const struct msg *msg)
{
    (void)msg;
    return true;
}

const void *msg_data(const struct msg *msg)
{
    return msg->data;
}

size_t msg_len(const struct msg *msg)
{
    return msg->len;
}

const char *msg_header(const struct msg *msg, const char *name)
{
    for (size_t i = 0; i < msg->header_count; i++) {
        if (strcmp(msg->headers[i].name, name) == 0)
            return msg->headers[i].value;
    }
    return NULL;
}

uint64_t msg_header_u64(const struct msg *msg, const char *name, uint64_t fallback)
{
    const char *text = msg_header(msg, name);

    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

int msg_status(const struct msg *msg)
{
    const char *text = msg->len == 0 ? msg_header(msg, "Status") : NULL;

    return text != NULL ? (int)strtol(text, NULL, 10) : 0;
}

struct msg *msg_with_data(const struct msg *like, const void *data, size_t len)
{
    struct msg *msg = must(calloc(1, sizeof *msg));

    *msg = *like;
    msg->owned = copy_of(data, len);
    msg->data = msg->owned;
    msg->len = len;
    return msg;
}

void msg_free(struct msg *msg)
{
    free(msg->owned);
    free(msg);
}

// --- the connection ------------------------------------------------------------------------------

bool conn_is_up(const struct conn *conn)
{
    (void)conn;
    return fake.is_up;
}

size_t conn_max_payload(const struct conn *conn)
{
    (void)conn;
    return MAX_PAYLOAD_BYTES;
}

void conn_on_state(struct conn *conn, conn_state_fn on_state, void *ctx)
{
    (void)conn;
    state_listeners_add(&fake.listeners, on_state, ctx);
}

void conn_forget_state(struct conn *conn, void *ctx)
{
    (void)conn;
    state_listeners_remove(&fake.listeners, ctx);
}

void fake_set_up(bool up)
{
    fake.is_up = up;
    state_listeners_call(&fake.listeners, up);
}

enum rc conn_subscribe(struct subscription **out, struct conn *conn, const char *subject,
                       const char *queue, conn_message_fn on_message, void *ctx)
{
    struct subscription *sub = must(calloc(1, sizeof *sub));

    (void)conn;
    (void)queue;
    *sub = (struct subscription){copy_of(subject, strlen(subject)), on_message, ctx, false, NULL};
    LL_APPEND(fake.subs, sub);
    *out = sub;
    return RC_OK;
}

void conn_unsubscribe(struct subscription *sub)
{
    if (sub != NULL)
        sub->closed = true;
}

size_t fake_subscription_count(void)
{
    struct subscription *sub;
    size_t count = 0;

    LL_FOREACH(fake.subs, sub)
    {
        count += sub->closed ? 0 : 1;
    }
    return count;
}

enum rc conn_publish(struct conn *conn, const char *subject, const char *reply,
                     const struct header *headers, size_t header_count, const void *data,
                     size_t len)
{
    struct fake_sent *sent;

    (void)conn;
    (void)headers;
    (void)header_count;
    if (!fake.is_up)
        return RC_UNAVAILABLE;
    fake.sent = must(realloc(fake.sent, (fake.sent_count + 1) * sizeof *fake.sent));
    sent = &fake.sent[fake.sent_count++];
    sent->subject = copy_of(subject, strlen(subject));
    sent->reply = reply != NULL ? copy_of(reply, strlen(reply)) : NULL;
    sent->data = copy_of(len > 0 ? data : "", len);
    sent->len = len;
    return RC_OK;
}

size_t fake_sent_count(void)
{
    return fake.sent_count;
}

const struct fake_sent *fake_sent(size_t index)
{
    cr_assert_lt(index, fake.sent_count);
    return &fake.sent[index];
}

static bool matches(const char *pattern, const char *subject)
{
    while (*pattern != '\0' && *subject != '\0') {
        size_t pattern_len = strcspn(pattern, ".");
        size_t subject_len = strcspn(subject, ".");

        if (strcmp(pattern, ">") == 0)
            return true;
        if (!(pattern_len == 1 && *pattern == '*') &&
            (pattern_len != subject_len || memcmp(pattern, subject, pattern_len) != 0))
            return false;
        pattern += pattern_len;
        subject += subject_len;
        if (*pattern != *subject)
            return false;
        if (*pattern == '\0')
            return true;
        pattern++;
        subject++;
    }
    return false;
}

static size_t deliver_by(const char *inbox, struct msg *msg)
{
    struct subscription *sub;
    size_t count = 0;

    LL_FOREACH(fake.subs, sub)
    {
        if (sub->closed || !matches(sub->subject, inbox))
            continue;
        count++;
        sub->on_message(sub->ctx, msg);
    }
    return count;
}

static size_t deliver(struct msg *msg)
{
    return deliver_by(msg->subject, msg);
}

size_t fake_deliver_by(const char *inbox, const char *subject, const char *reply, const char *data,
                       size_t len)
{
    struct msg msg = {.subject = subject, .reply = reply, .data = data, .len = len};

    return deliver_by(inbox, &msg);
}

size_t fake_deliver_with(const char *subject, const char *reply, const struct header *headers,
                         size_t header_count, const char *data, size_t len)
{
    struct msg msg = {.subject = subject,
                      .reply = reply,
                      .headers = headers,
                      .header_count = header_count,
                      .data = data,
                      .len = len};

    cr_assert_leq(header_count, HEADERS_MAX);
    return deliver(&msg);
}

size_t fake_deliver(const char *subject, const char *data, size_t len)
{
    return fake_deliver_with(subject, NULL, NULL, 0, data, len);
}

size_t fake_deliver_no_responders(const char *subject)
{
    struct msg msg = {.subject = subject, .data = "", .is_no_responders = true};

    return deliver(&msg);
}
