// The pull loop.
//
// A server-side consumer lives until something goes wrong and is then made again; it acknowledges
// nothing, because what counts as read is known to the reader alone (the audit worker keeps it in
// Postgres). Every message names the consumer it comes from and its number there, so a leftover of
// an earlier consumer or a gap is noticed. The C client's own fetch calls are not used: they block,
// and those of libnats before 3.9 can overflow the heap.
//
// Credit: outstanding (asked for, not delivered) + held (delivered, not released) <= window.
#include "broker/nats/consume.h"

#include "broker/base/buf.h"
#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"
#include "broker/nats/rewind.h"
#include "broker/nats/shared_inbox.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREATE_TIMEOUT_MS 5000
#define RETRY_MS 250
#define EXPIRES_MS 30000
#define HEARTBEAT_MS 2000
#define LOST_MS 5000 // two heartbeats missed
#define STATUS_NO_RESPONDERS 503
#define INBOX_HEX_BYTES 33

enum state {
    STATE_DOWN,     // waiting for the connection or for the retry timer
    STATE_CHECKING, // whether the stream still has what was seen
    STATE_DELETING, // removing a durable of an earlier reader
    STATE_CREATING,
    STATE_FOLLOWING,
};

struct consumer {
    struct requests *requests;
    struct conn *conn;
    const struct consumer_config *config;
    struct subscription *sub;    // its own
    struct shared_inbox *shared; // or one that it shares
    struct receiver receiver;
    uv_timer_t timer; // retry while down, watchdog while following
    char inbox[DELIVERY_INBOX_BYTES];
    char stream[STREAM_BYTES];      // also when config is gone
    char name[CONSUMER_NAME_BYTES]; // of the server's consumer
    enum state state;
    uint64_t last_sequence; // in the stream, of the last message handed on
    uint64_t last_number;   // in the consumer
    struct marks marks;     // of the last messages handed on
    int64_t heard_ns;       // when the server was last heard
    uint64_t pull;          // number of the latest pull
    uint64_t first_pull;    // the first one of this server-side consumer
    uint32_t outstanding;
    uint32_t held;
    bool current;
    bool in_flight; // a create or delete request waits for its answer
    bool is_durable;
    bool closing;
};

// Of all consumers of the program; made with the first.
static struct metric *rewinds_metric;

static void create(struct consumer *consumer);

static void set_name(struct consumer *consumer, const char *name, size_t len)
{
    memcpy(consumer->name, name, len);
    consumer->name[len] = '\0';
    if (consumer->shared != NULL)
        shared_inbox_name(consumer->shared, &consumer->receiver, consumer->stream, consumer->name);
}

static void set_current(struct consumer *consumer, bool current)
{
    if (consumer->current == current)
        return;
    consumer->current = current;
    if (consumer->config->on_current != NULL)
        consumer->config->on_current(consumer->config->ctx, current);
}

static void on_retry(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;

    if (conn_is_up(consumer->conn) && !consumer->in_flight)
        create(consumer);
    else
        uv_timer_start(timer, on_retry, RETRY_MS, 0);
}

static void start_again(struct consumer *consumer, const char *why)
{
    if (consumer->state != STATE_DOWN)
        log_info("consumer.lost", "stream=%s filter=%s reason=\"%s\"", consumer->config->stream,
                 consumer->config->filter, why);
    consumer->state = STATE_DOWN;
    set_name(consumer, "", 0);
    set_current(consumer, false);
    if (!consumer->closing)
        uv_timer_start(&consumer->timer, on_retry, RETRY_MS, 0);
}

// --- pulling -------------------------------------------------------------------------------------

static void pull(struct consumer *consumer)
{
    uint32_t used = consumer->outstanding + consumer->held;
    char subject[SUBJECT_BYTES];
    char reply[sizeof consumer->inbox + 32];
    char body[128];
    uint32_t batch;
    int len;

    if (consumer->state != STATE_FOLLOWING || used > consumer->config->window / 2)
        return;
    batch = consumer->config->window - used;
    (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s",
                   consumer->config->stream, consumer->name);
    (void)snprintf(reply, sizeof reply, "%s.%" PRIu64, consumer->inbox, ++consumer->pull);
    len = snprintf(body, sizeof body,
                   "{\"batch\":%u,\"expires\":%d000000,\"idle_heartbeat\":%d000000}", batch,
                   EXPIRES_MS, HEARTBEAT_MS);
    if (conn_publish(consumer->conn, subject, reply, NULL, 0, body, (size_t)len) == RC_OK)
        consumer->outstanding += batch;
    else
        start_again(consumer, "pull was not sent");
}

static void on_watch(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;

    if (clock_now_ns() - consumer->heard_ns > LOST_MS * 1000000LL)
        start_again(consumer, "no heartbeat");
}

static void on_control(struct consumer *consumer, struct msg *msg, int status)
{
    uint64_t unused = msg_header_u64(msg, "Nats-Pending-Messages", consumer->outstanding);

    switch (status) {
    case 100: // heartbeat: sent only when there is nothing to send
        // What the messages say is pending is too much at times (2.9.10, while others write).
        if (consumer->outstanding > 0)
            set_current(consumer, true);
        return;
    case 404:
    case 408: // the pull is over
        consumer->outstanding -=
            unused < consumer->outstanding ? (uint32_t)unused : consumer->outstanding;
        pull(consumer);
        return;
    case STATUS_NO_RESPONDERS:
        start_again(consumer, "nobody took the pull");
        return;
    default:
        start_again(consumer,
                    status == 409 ? "the server ended it" : "the server does not know it");
    }
}

static void on_delivery(void *ctx, struct msg *msg)
{
    struct consumer *consumer = ctx;
    struct delivery delivery;
    struct origin origin;
    int status;

    if (consumer->state != STATE_FOLLOWING)
        return;
    status = msg_is_no_responders(msg) ? STATUS_NO_RESPONDERS : msg_status(msg);
    if (status != 0) {
        // It comes to the reply subject of its pull, which ends in the pull's number.
        const char *number = strrchr(msg_subject(msg), '.');

        if (number == NULL || strtoull(number + 1, NULL, 10) < consumer->first_pull)
            return; // a leftover of an earlier consumer
        consumer->heard_ns = clock_now_ns();
        on_control(consumer, msg, status);
        return;
    }
    if (!origin_read(msg, &origin) || origin.consumer_len != strlen(consumer->name) ||
        memcmp(origin.consumer, consumer->name, origin.consumer_len) != 0)
        return; // a leftover
    consumer->heard_ns = clock_now_ns();
    if (origin.number != consumer->last_number + 1) {
        start_again(consumer, "a message is missing");
        return;
    }
    consumer->last_number = origin.number;
    consumer->last_sequence = origin.sequence;
    marks_note(&consumer->marks, origin.sequence, msg_data(msg), msg_len(msg));
    if (consumer->outstanding > 0)
        consumer->outstanding--;
    consumer->held++;
    delivery = (struct delivery){.sequence = origin.sequence, .pending = origin.pending};
    consumer->config->on_message(consumer->config->ctx, msg, &delivery);
    if (consumer->state == STATE_FOLLOWING && delivery.pending == 0)
        set_current(consumer, true);
}

void consumer_release(struct consumer *consumer, uint32_t count)
{
    assert(count <= consumer->held);
    consumer->held -= count;
    pull(consumer);
}

// --- creating ------------------------------------------------------------------------------------

static void write_config(const struct consumer *consumer, struct buf *out)
{
    const struct consumer_config *config = consumer->config;

    buf_printf(out, "{\"stream_name\":\"%s\",\"config\":{", config->stream);
    if (config->durable != NULL)
        buf_printf(out, "\"durable_name\":\"%s\",", config->durable);
    else
        buf_puts(out, "\"inactive_threshold\":60000000000,\"mem_storage\":true,");
    if (config->from == CONSUME_LAST_PER_SUBJECT)
        buf_puts(out, "\"deliver_policy\":\"last_per_subject\",");
    else
        buf_printf(out, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRIu64 ",",
                   consumer->last_sequence + 1);
    buf_printf(out,
               "\"ack_policy\":\"none\",\"replay_policy\":\"instant\",\"filter_subject\":\"%s\"}}",
               config->filter);
}

// The value of a string or number member of the server's answer, whose names we know to be unique
// up to there. The answer is the server's own.
static const char *member(const char *answer, const char *name)
{
    const char *at = strstr(answer, name);

    return at != NULL ? at + strlen(name) : NULL;
}

// The server would forget it by itself, but only after a while, and there may be many.
static void forget_short_lived(const struct consumer *consumer, const char *name, size_t len)
{
    char subject[SUBJECT_BYTES];

    if (consumer->is_durable || len == 0 || !conn_is_up(consumer->conn))
        return;
    (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.%s.%.*s", consumer->stream,
                   (int)len, name);
    if (conn_publish(consumer->conn, subject, consumer->inbox, NULL, 0, NULL, 0) != RC_OK)
        log_debug("consumer.delete", "name=%.*s", (int)len, name);
}

static void follow(struct consumer *consumer, const char *answer)
{
    const char *name = member(answer, "\"name\":\"");
    const char *pending = member(answer, "\"num_pending\":");
    size_t len = name != NULL ? strcspn(name, "\"") : 0;

    if (name == NULL || pending == NULL || len >= sizeof consumer->name) {
        const char *text = member(answer, "\"description\":\"");

        log_warn("consumer.create", "stream=%s error=\"%.*s\"", consumer->config->stream,
                 text != NULL ? (int)strcspn(text, "\"") : 0, text != NULL ? text : "");
        start_again(consumer, "it could not be created");
        return;
    }
    set_name(consumer, name, len);
    consumer->state = STATE_FOLLOWING;
    consumer->last_number = 0;
    consumer->outstanding = 0;
    consumer->first_pull = consumer->pull + 1;
    consumer->heard_ns = clock_now_ns();
    uv_timer_start(&consumer->timer, on_watch, HEARTBEAT_MS, HEARTBEAT_MS);
    pull(consumer);
    if (consumer->state == STATE_FOLLOWING && strtoull(pending, NULL, 10) == 0)
        set_current(consumer, true);
}

// It was made while its reader went away.
static void forget_unused(const struct consumer *consumer, enum rc rc, struct msg *reply)
{
    char *answer = rc == RC_OK ? strndup(msg_data(reply), msg_len(reply)) : NULL;
    const char *name = answer != NULL ? member(answer, "\"name\":\"") : NULL;

    if (name != NULL)
        forget_short_lived(consumer, name, strcspn(name, "\""));
    free(answer);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_answer(void *ctx, enum rc rc, struct msg *reply);

static void ask(struct consumer *consumer, const char *verb, const struct buf *body)
{
    char subject[SUBJECT_BYTES];
    const struct consumer_config *config = consumer->config;
    struct request request = {.subject = subject,
                              .inbox = config->inbox,
                              .data = body->data,
                              .len = body->len,
                              .timeout_ms = CREATE_TIMEOUT_MS,
                              .done = on_answer,
                              .ctx = consumer};

    if (config->durable != NULL)
        (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.%s.%s.%s", verb, config->stream,
                       config->durable);
    else
        (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.%s.%s", verb, config->stream);
    consumer->in_flight = true;
    request_send(consumer->requests, &request);
}

static void ask_create(struct consumer *consumer)
{
    struct buf body = {0};

    consumer->state = STATE_CREATING;
    write_config(consumer, &body);
    ask(consumer, consumer->config->durable != NULL ? "DURABLE.CREATE" : "CREATE", &body);
    buf_fini(&body);
}

static void on_answer(void *ctx, enum rc rc, struct msg *reply)
{
    struct consumer *consumer = ctx;
    char *answer;

    consumer->in_flight = false;
    if (consumer->closing) {
        forget_unused(consumer, rc, reply);
        uv_close((uv_handle_t *)&consumer->timer, on_timer_closed);
        return;
    }
    if (rc != RC_OK) {
        start_again(consumer, rc_text(rc));
        return;
    }
    if (consumer->state == STATE_DELETING) {
        ask_create(consumer); // whether it was there or not
        return;
    }
    if (consumer->state != STATE_CREATING)
        return;
    answer = strndup(msg_data(reply), msg_len(reply));
    if (answer == NULL)
        abort();
    follow(consumer, answer);
    free(answer);
}

static void ask_delete_or_create(struct consumer *consumer)
{
    struct buf none = {0};

    if (consumer->config->durable == NULL) {
        ask_create(consumer);
        return;
    }
    // An existing durable keeps its place; ours is the only place that counts.
    consumer->state = STATE_DELETING;
    ask(consumer, "DELETE", &none);
}

static void on_checked(void *ctx, enum rc rc, bool lost, uint64_t place)
{
    struct consumer *consumer = ctx;

    consumer->in_flight = false;
    if (consumer->closing) {
        uv_close((uv_handle_t *)&consumer->timer, on_timer_closed);
        return;
    }
    if (rc != RC_OK) {
        start_again(consumer, rc_text(rc));
        return;
    }
    if (lost) {
        log_error("consumer.rewound",
                  "stream=%s filter=%s sequence=%" PRIu64 " place=%" PRIu64
                  " reason=\"the stream has lost its end, or is another one\"",
                  consumer->config->stream, consumer->config->filter, consumer->last_sequence,
                  place);
        metric_add(rewinds_metric, consumer->config->stream, 1);
        consumer->last_sequence = place;
        consumer->marks.count = 0;
        if (consumer->config->on_rewound != NULL)
            consumer->config->on_rewound(consumer->config->ctx, place);
        if (consumer->closing)
            return;
    }
    ask_delete_or_create(consumer);
}

static void create(struct consumer *consumer)
{
    const struct consumer_config *config = consumer->config;
    bool has_seen =
        consumer->marks.count > 0 || (config->from == CONSUME_AFTER &&
                                      consumer->last_sequence > 0 && config->on_rewound != NULL);

    if (!has_seen) {
        ask_delete_or_create(consumer);
        return;
    }
    consumer->state = STATE_CHECKING;
    consumer->in_flight = true;
    rewind_check(consumer->requests, config->inbox, consumer->stream, &consumer->marks,
                 consumer->last_sequence, on_checked, consumer);
}

static void on_state(void *ctx, bool up)
{
    struct consumer *consumer = ctx;

    if (!up && consumer->state == STATE_FOLLOWING)
        start_again(consumer, "the connection broke");
}

// An inbox of its own. False: it cannot be, logged.
static bool subscribe(struct consumer *consumer)
{
    uint8_t random[(INBOX_HEX_BYTES - 1) / 2];
    char hex[INBOX_HEX_BYTES];
    char subject[sizeof consumer->inbox + 4];
    int len;

    random_bytes(random, sizeof random);
    hex_format(hex, random, sizeof random);
    len = snprintf(consumer->inbox, sizeof consumer->inbox, "_INBOX.%s.%s", consumer->config->inbox,
                   hex);
    assert(len > 0 && (size_t)len < sizeof consumer->inbox);
    (void)snprintf(subject, sizeof subject, "%s.*", consumer->inbox);
    return conn_subscribe(&consumer->sub, consumer->conn, subject, NULL, on_delivery, consumer) ==
           RC_OK;
}

struct consumer *consumer_open(struct requests *requests, struct conn *conn, uv_loop_t *loop,
                               const struct consumer_config *config)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);

    if (consumer == NULL)
        abort();
    if (rewinds_metric == NULL)
        rewinds_metric = metric_create(
            METRIC_COUNTER, "handoffrail_stream_rewinds_total",
            "Times that the end of a stream which had been read was lost", "stream", NULL, 0);
    *consumer = (struct consumer){
        .requests = requests,
        .conn = conn,
        .config = config,
        .shared = config->shared,
        .receiver = {.on_message = on_delivery, .ctx = consumer},
        .last_sequence = config->start_after,
        .is_durable = config->durable != NULL,
    };
    (void)snprintf(consumer->stream, sizeof consumer->stream, "%s", config->stream);
    uv_timer_init(loop, &consumer->timer);
    consumer->timer.data = consumer;
    conn_on_state(conn, on_state, consumer);
    if (consumer->shared != NULL)
        shared_inbox_add(consumer->shared, &consumer->receiver, consumer->inbox);
    if (consumer->shared != NULL || subscribe(consumer))
        create(consumer);
    else
        log_error("consumer.subscribe", "stream=%s", config->stream);
    return consumer;
}

void consumer_close(struct consumer *consumer)
{
    if (consumer == NULL)
        return;
    forget_short_lived(consumer, consumer->name, strlen(consumer->name));
    consumer->closing = true;
    consumer->state = STATE_DOWN;
    conn_unsubscribe(consumer->sub);
    if (consumer->shared != NULL)
        shared_inbox_remove(consumer->shared, &consumer->receiver);
    conn_forget_state(consumer->conn, consumer);
    uv_timer_stop(&consumer->timer);
    if (!consumer->in_flight)
        uv_close((uv_handle_t *)&consumer->timer, on_timer_closed);
}
