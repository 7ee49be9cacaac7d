// The connection to NATS: libnats on libuv, with a hand-over from its delivery thread to the loop.
//
// A message waits in a list under a mutex until the loop is woken; the loop takes the whole list at
// once. A subscription that has been given up may still have messages in that list: it is freed
// only after libnats has promised to deliver no more and the list has been emptied.
#include "broker/conn.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <nats/adapters/libuv.h>
#include <nats/nats.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LISTENERS_MAX 8
#define SERVERS_MAX 16
#define RECONNECT_WAIT_MS 100
#define LIBRARY_WAIT_MS 1000
#define PING_INTERVAL_MS 5000 // two missed answers end a connection that has silently died

struct msg {
    natsMsg *nats;
    struct subscription *sub;
    struct msg *next;
};

struct subscription {
    struct conn *conn;
    natsSubscription *nats;
    conn_message_fn on_message;
    void *ctx;
    bool closed;   // loop thread: deliver nothing more
    bool draining; // loop thread: counted in conn->draining
};

struct listener {
    conn_state_fn on_state;
    void *ctx;
};

struct conn {
    uv_loop_t *loop;
    uv_async_t wake;
    uv_work_t close_work;
    natsConnection *nats;
    natsOptions *options;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    void (*on_lost)(void *ctx);
    void *lost_ctx;
    size_t max_payload;
    size_t subscriptions; // that libnats may still deliver to
    size_t draining;      // those of them that were drained
    bool up;              // loop thread's view
    bool closing;
    bool closed;   // libnats has said that it is through with the connection
    bool released; // and natsConnection_Close has returned

    uv_mutex_t mutex; // guards what follows
    struct msg *first;
    struct msg *last;
    struct subscription *finished[64]; // libnats delivers nothing more to these
    size_t finished_count;
    bool state_changed;
    bool state_up;
    bool lost;
};

// --- messages ------------------------------------------------------------------------------------

const char *msg_subject(const struct msg *msg)
{
    return natsMsg_GetSubject(msg->nats);
}

const char *msg_reply(const struct msg *msg)
{
    return natsMsg_GetReply(msg->nats);
}

const void *msg_data(const struct msg *msg)
{
    return natsMsg_GetData(msg->nats);
}

size_t msg_len(const struct msg *msg)
{
    return (size_t)natsMsg_GetDataLength(msg->nats);
}

const char *msg_header(const struct msg *msg, const char *name)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg->nats, name, &value) == NATS_OK ? value : NULL;
}

uint64_t msg_header_u64(const struct msg *msg, const char *name, uint64_t fallback)
{
    const char *text = msg_header(msg, name);
    unsigned long long value;
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return fallback;
    errno = 0;
    value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : fallback;
}

int msg_status(const struct msg *msg)
{
    const char *text = msg_len(msg) == 0 ? msg_header(msg, "Status") : NULL;

    return text != NULL ? (int)strtol(text, NULL, 10) : 0;
}

void msg_free(struct msg *msg)
{
    natsMsg_Destroy(msg->nats);
    free(msg);
}

struct msg *msg_with_data(const struct msg *like, const void *data, size_t len)
{
    struct msg *msg = calloc(1, sizeof *msg);
    const char **names = NULL;
    int count = 0;

    if (msg == NULL || len > INT_MAX ||
        natsMsg_Create(&msg->nats, msg_subject(like), msg_reply(like), data, (int)len) != NATS_OK)
        abort();
    if (natsMsgHeader_Keys(like->nats, &names, &count) != NATS_OK)
        count = 0;
    for (int i = 0; i < count; i++) {
        if (natsMsgHeader_Set(msg->nats, names[i], msg_header(like, names[i])) != NATS_OK)
            abort();
    }
    free(names);
    return msg;
}

// --- from libnats' threads to the loop -----------------------------------------------------------

static void on_nats_message(natsConnection *nats, natsSubscription *nats_sub, natsMsg *nats_msg,
                            void *ctx)
{
    struct subscription *sub = ctx;
    struct conn *conn = sub->conn;
    struct msg *msg = malloc(sizeof *msg);
    bool was_empty;

    (void)nats;
    (void)nats_sub;
    if (msg == NULL)
        abort();
    *msg = (struct msg){.nats = nats_msg, .sub = sub};
    uv_mutex_lock(&conn->mutex);
    was_empty = conn->first == NULL;
    if (was_empty)
        conn->first = msg;
    else
        conn->last->next = msg;
    conn->last = msg;
    uv_mutex_unlock(&conn->mutex);
    if (was_empty)
        uv_async_send(&conn->wake);
}

// libnats calls this once it will deliver nothing more.
static void on_nats_complete(void *ctx)
{
    struct subscription *sub = ctx;
    struct conn *conn = sub->conn;

    uv_mutex_lock(&conn->mutex);
    assert(conn->finished_count < sizeof conn->finished / sizeof conn->finished[0]);
    conn->finished[conn->finished_count++] = sub;
    uv_mutex_unlock(&conn->mutex);
    uv_async_send(&conn->wake);
}

static void set_state(struct conn *conn, bool up)
{
    uv_mutex_lock(&conn->mutex);
    conn->state_changed = true;
    conn->state_up = up;
    uv_mutex_unlock(&conn->mutex);
    uv_async_send(&conn->wake);
}

static void on_nats_disconnected(natsConnection *nats, void *ctx)
{
    (void)nats;
    set_state(ctx, false);
}

static void on_nats_reconnected(natsConnection *nats, void *ctx)
{
    (void)nats;
    set_state(ctx, true);
}

static void on_nats_closed(natsConnection *nats, void *ctx)
{
    struct conn *conn = ctx;

    (void)nats;
    uv_mutex_lock(&conn->mutex);
    conn->lost = true;
    uv_mutex_unlock(&conn->mutex);
    set_state(conn, false);
}

static void on_nats_error(natsConnection *nats, natsSubscription *sub, natsStatus status, void *ctx)
{
    const char *text = NULL;

    (void)sub;
    (void)ctx;
    if (natsConnection_GetLastError(nats, &text) == NATS_OK || text == NULL || *text == '\0')
        text = natsStatus_GetText(status);
    log_warn("nats.error", "error=\"%s\"", text);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    natsConnection_Destroy(conn->nats);
    natsOptions_Destroy(conn->options);
    uv_mutex_destroy(&conn->mutex);
    free(conn);
}

// libnats' threads call back until it has said that the connection is closed and every subscription
// is complete; only then can what they call back into go.
static void close_if_quiet(struct conn *conn)
{
    if (conn->closing && conn->closed && conn->released && conn->subscriptions == 0 &&
        !uv_is_closing((uv_handle_t *)&conn->wake))
        uv_close((uv_handle_t *)&conn->wake, on_wake_closed);
}

static void tell_listeners(struct conn *conn, bool up)
{
    if (conn->up == up)
        return;
    conn->up = up;
    log_info(up ? "nats.connected" : "nats.disconnected", "server=ours");
    for (size_t i = 0; i < conn->listener_count; i++)
        conn->listeners[i].on_state(conn->listeners[i].ctx, up);
}

static void on_wake(uv_async_t *wake)
{
    struct conn *conn = wake->data;
    struct subscription *finished[sizeof conn->finished / sizeof conn->finished[0]];
    size_t finished_count;
    struct msg *msg;
    bool changed;
    bool up;
    bool lost;

    uv_mutex_lock(&conn->mutex);
    msg = conn->first;
    conn->first = NULL;
    conn->last = NULL;
    finished_count = conn->finished_count;
    memcpy(finished, conn->finished, finished_count * sizeof(struct subscription *));
    conn->finished_count = 0;
    changed = conn->state_changed;
    conn->state_changed = false;
    up = conn->state_up;
    lost = conn->lost;
    conn->lost = false;
    uv_mutex_unlock(&conn->mutex);

    if (changed && !up)
        tell_listeners(conn, false);
    while (msg != NULL) {
        struct msg *next = msg->next;

        if (!msg->sub->closed && !conn->closing)
            msg->sub->on_message(msg->sub->ctx, msg);
        msg_free(msg);
        msg = next;
    }
    if (changed && up)
        tell_listeners(conn, true);
    // Everything they had delivered was in the list just emptied.
    for (size_t i = 0; i < finished_count; i++) {
        if (finished[i]->draining)
            conn->draining--;
        conn->subscriptions--;
        natsSubscription_Destroy(finished[i]->nats);
        free(finished[i]);
    }
    conn->closed = conn->closed || lost;
    if (lost && conn->on_lost != NULL)
        conn->on_lost(conn->lost_ctx);
    close_if_quiet(conn);
}

// --- opening -------------------------------------------------------------------------------------

static natsStatus set_servers(natsOptions *options, const char *urls)
{
    char copy[1024];
    const char *servers[SERVERS_MAX];
    int count = 0;
    char *save = NULL;

    if (strlen(urls) >= sizeof copy)
        return NATS_INVALID_ARG;
    memcpy(copy, urls, strlen(urls) + 1);
    for (char *url = strtok_r(copy, ", ", &save); url != NULL && count < SERVERS_MAX;
         url = strtok_r(NULL, ", ", &save))
        servers[count++] = url;
    return natsOptions_SetServers(options, servers, count);
}

static natsStatus set_options(struct conn *conn, const struct conn_config *config)
{
    natsOptions *options = conn->options;
    natsStatus s = set_servers(options, config->url);

    if (s == NATS_OK)
        s = natsOptions_SetName(options, config->name);
    if (s == NATS_OK && config->user[0] != '\0')
        s = natsOptions_SetUserInfo(options, config->user, config->password);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(options, true); // otherwise a flusher adds 1 ms to every hop
    if (s == NATS_OK)
        s = natsOptions_UseGlobalMessageDelivery(options, true); // one thread for all subscriptions
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(options, -1);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(options, RECONNECT_WAIT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectJitter(options, RECONNECT_WAIT_MS, RECONNECT_WAIT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(options, PING_INTERVAL_MS);
    if (s == NATS_OK)
        s = natsOptions_SetMaxPingsOut(options, 2);
    if (s == NATS_OK)
        s = natsOptions_SetDisconnectedCB(options, on_nats_disconnected, conn);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectedCB(options, on_nats_reconnected, conn);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(options, on_nats_closed, conn);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(options, on_nats_error, conn);
    if (s == NATS_OK)
        s = natsOptions_SetEventLoop(options, conn->loop, natsLibuv_Attach, natsLibuv_Read,
                                     natsLibuv_Write, natsLibuv_Detach);
    return s;
}

static enum rc connect_within(struct conn *conn, int64_t wait_ms)
{
    int64_t deadline = clock_now_ns() + wait_ms * 1000000;
    natsStatus s = NATS_OK;

    for (;;) {
        s = natsConnection_Connect(&conn->nats, conn->options);
        if (s == NATS_OK)
            return RC_OK;
        if (s == NATS_CONNECTION_AUTH_FAILED || clock_now_ns() > deadline)
            break;
        nats_Sleep(RECONNECT_WAIT_MS);
    }
    log_error("nats.connect", "error=\"%s\"", natsStatus_GetText(s));
    return RC_UNAVAILABLE;
}

enum rc conn_open(struct conn **out, uv_loop_t *loop, const struct conn_config *config,
                  int64_t wait_ms)
{
    struct conn *conn = calloc(1, sizeof *conn);
    natsStatus s;
    enum rc rc;

    if (conn == NULL)
        abort();
    conn->loop = loop;
    natsLibuv_Init();
    natsLibuv_SetThreadLocalLoop(loop);
    if (uv_mutex_init(&conn->mutex) != 0 || uv_async_init(loop, &conn->wake, on_wake) != 0)
        abort();
    conn->wake.data = conn;
    s = natsOptions_Create(&conn->options);
    if (s == NATS_OK)
        s = set_options(conn, config);
    if (s != NATS_OK) {
        log_error("nats.options", "error=\"%s\"", natsStatus_GetText(s));
        rc = RC_CONFIG;
    } else {
        rc = connect_within(conn, wait_ms);
    }
    if (rc != RC_OK) {
        conn_close(conn);
        return rc;
    }
    conn->up = true;
    conn->max_payload = (size_t)natsConnection_GetMaxPayload(conn->nats);
    *out = conn;
    return RC_OK;
}

// natsConnection_Close flushes, and waits for the loop to have done so: not on the loop's own thread.
static void close_elsewhere(uv_work_t *work)
{
    struct conn *conn = work->data;

    natsConnection_Close(conn->nats);
}

static void on_close_returned(uv_work_t *work, int status)
{
    struct conn *conn = work->data;

    (void)status;
    conn->released = true;
    close_if_quiet(conn);
}

void conn_close(struct conn *conn)
{
    if (conn == NULL)
        return;
    conn->listener_count = 0;
    conn->on_lost = NULL;
    conn->closing = true;
    if (conn->nats == NULL) {
        conn->closed = true;
        conn->released = true;
        close_if_quiet(conn);
        return;
    }
    conn->close_work.data = conn;
    if (uv_queue_work(conn->loop, &conn->close_work, close_elsewhere, on_close_returned) != 0)
        abort();
}

void conn_library_close(void)
{
    // Without this the library waits for its threads when the process exits, by sleeping.
    nats_CloseAndWait(LIBRARY_WAIT_MS);
}

bool conn_is_up(const struct conn *conn)
{
    return conn->up;
}

size_t conn_max_payload(const struct conn *conn)
{
    return conn->max_payload;
}

void conn_on_state(struct conn *conn, conn_state_fn on_state, void *ctx)
{
    assert(conn->listener_count < LISTENERS_MAX);
    conn->listeners[conn->listener_count++] = (struct listener){on_state, ctx};
}

void conn_forget_state(struct conn *conn, void *ctx)
{
    for (size_t i = 0; i < conn->listener_count; i++) {
        if (conn->listeners[i].ctx == ctx)
            conn->listeners[i] = conn->listeners[--conn->listener_count];
    }
}

void conn_on_lost(struct conn *conn, void (*on_lost)(void *ctx), void *ctx)
{
    conn->on_lost = on_lost;
    conn->lost_ctx = ctx;
}

// --- subscribing and publishing ------------------------------------------------------------------

enum rc conn_subscribe(struct subscription **out, struct conn *conn, const char *subject,
                       const char *queue, conn_message_fn on_message, void *ctx)
{
    struct subscription *sub = calloc(1, sizeof *sub);
    natsStatus s;

    if (sub == NULL)
        abort();
    *sub = (struct subscription){.conn = conn, .on_message = on_message, .ctx = ctx};
    if (queue != NULL)
        s = natsConnection_QueueSubscribe(&sub->nats, conn->nats, subject, queue, on_nats_message,
                                          sub);
    else
        s = natsConnection_Subscribe(&sub->nats, conn->nats, subject, on_nats_message, sub);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(sub->nats, -1, -1); // the default drops silently
    if (s == NATS_OK)
        s = natsSubscription_SetOnCompleteCB(sub->nats, on_nats_complete, sub);
    if (s != NATS_OK) {
        log_error("nats.subscribe", "subject=%s error=\"%s\"", subject, natsStatus_GetText(s));
        natsSubscription_Destroy(sub->nats);
        free(sub);
        return RC_IO;
    }
    conn->subscriptions++;
    *out = sub;
    return RC_OK;
}

void conn_unsubscribe(struct subscription *sub)
{
    natsStatus s;

    if (sub == NULL)
        return;
    sub->closed = true;
    s = natsSubscription_Unsubscribe(sub->nats);
    if (s != NATS_OK && s != NATS_CONNECTION_CLOSED && s != NATS_INVALID_SUBSCRIPTION)
        log_warn("nats.unsubscribe", "error=\"%s\"", natsStatus_GetText(s));
}

void conn_drain(struct subscription *sub)
{
    if (sub == NULL || sub->draining || sub->closed)
        return;
    if (natsSubscription_Drain(sub->nats) != NATS_OK) {
        conn_unsubscribe(sub);
        return;
    }
    sub->draining = true;
    sub->conn->draining++;
}

size_t conn_draining(const struct conn *conn)
{
    return conn->draining;
}

enum rc conn_publish(struct conn *conn, const char *subject, const char *reply,
                     const struct header *headers, size_t header_count, const void *data,
                     size_t len)
{
    natsMsg *msg = NULL;
    natsStatus s;

    if (!conn->up)
        return RC_UNAVAILABLE;
    if (len > conn->max_payload || len > INT_MAX)
        return RC_TOO_LARGE;
    s = natsMsg_Create(&msg, subject, reply, data, (int)len);
    for (size_t i = 0; i < header_count && s == NATS_OK; i++)
        s = natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(conn->nats, msg);
    natsMsg_Destroy(msg);
    if (s == NATS_OK)
        return RC_OK;
    log_warn("nats.publish", "subject=%s error=\"%s\"", subject, natsStatus_GetText(s));
    return s == NATS_MAX_PAYLOAD ? RC_TOO_LARGE : RC_UNAVAILABLE;
}
