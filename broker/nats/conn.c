// The connection to NATS: libnats on libuv, on one thread.
//
// libnats offers callbacks, from a thread of its own, or queues to be read. Handing every message
// from that thread to the loop cost more than half of a worker's time (measured: 60 % in futex
// calls), so the queues are read: the adapter reads the socket on the loop's thread, and behind
// every poll on_check() empties the queues. Writing is as direct: what was published during a turn
// of the loop is sent in one go before the next poll. libnats' own threads are left with pings,
// reconnecting and the callbacks that tell of it; those only set a flag and wake the loop.
#include "broker/nats/conn.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/nats/arrival.h"
#include "broker/nats/nats_msg.h"
#include "broker/nats/state_listeners.h"

#include <limits.h>
#include <nats/adapters/libuv.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>

#define SUBSCRIPTIONS_FIRST 64
#define SERVERS_MAX 16
#define RECONNECT_WAIT_MS 100
#define DISCARD_COUNT 256
#define DISCARD_BYTES (256 * 1024)
#define PING_INTERVAL_MS 5000 // two missed answers end a connection that has silently died
#define LIBRARY_WAIT_MS 1000

struct subscription {
    struct conn *conn;
    natsSubscription *nats;
    conn_message_fn on_message;
    void *ctx;
    bool closed;   // deliver nothing more; goes at the end of the turn
    bool draining; // goes when libnats says that nothing more will come
};

struct conn {
    uv_loop_t *loop;
    uv_thread_t thread; // the loop's
    uv_async_t wake;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_work_t close_work;
    int handles; // that libuv has not closed yet
    natsConnection *nats;
    natsOptions *options;
    struct state_listeners listeners;
    struct subscription **subs; // owned; every turn of the loop looks at each, so keep them few
    size_t sub_count;
    size_t sub_room;
    void (*on_lost)(void *ctx);
    void *lost_ctx;
    size_t max_payload;
    void *adapter;                     // what libnats hands to on_write
    bool unsent;                       // something was published during this turn
    natsMsg *discarded[DISCARD_COUNT]; // to be destroyed together
    size_t discarded_count;
    size_t discarded_bytes;
    bool up;
    bool closed;   // libnats has said that it is through with the connection
    bool released; // and natsConnection_Close has returned

    uv_mutex_t mutex; // guards what follows; the loop's thread may read closing without it
    bool closing;     // set by the loop's thread alone
    bool state_changed;
    bool state_up;
    bool lost;
};

// libnats passes only its adapter's state to on_write. A program has one connection; a bench or a
// test that has more gives the others the adapter's own, slower way of writing.
static struct conn *writer;

// --- destroying ----------------------------------------------------------------------------------

// libnats frees messages on a thread of its own and wakes it for each; waking it for many at once
// saves a fifth of a busy program's time (measured: futex calls behind natsMsg_Destroy).
static void destroy_discarded(struct conn *conn)
{
    for (size_t i = 0; i < conn->discarded_count; i++)
        natsMsg_Destroy(conn->discarded[i]);
    conn->discarded_count = 0;
    conn->discarded_bytes = 0;
}

static void discard(struct conn *conn, natsMsg *msg)
{
    conn->discarded[conn->discarded_count++] = msg;
    conn->discarded_bytes += (size_t)natsMsg_GetDataLength(msg);
    if (conn->discarded_count == DISCARD_COUNT || conn->discarded_bytes > DISCARD_BYTES)
        destroy_discarded(conn);
}

// --- from libnats' threads to the loop -----------------------------------------------------------

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

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    if (--conn->handles > 0)
        return;
    for (size_t i = 0; i < conn->sub_count; i++) {
        natsSubscription_Destroy(conn->subs[i]->nats);
        free(conn->subs[i]);
    }
    free(conn->subs);
    destroy_discarded(conn);
    natsConnection_Destroy(conn->nats);
    natsOptions_Destroy(conn->options);
    uv_mutex_destroy(&conn->mutex);
    free(conn);
}

static void close_if_quiet(struct conn *conn)
{
    if (!conn->closing || !conn->closed || !conn->released ||
        uv_is_closing((uv_handle_t *)&conn->wake))
        return;
    if (writer == conn)
        writer = NULL;
    uv_close((uv_handle_t *)&conn->wake, on_handle_closed);
    uv_close((uv_handle_t *)&conn->check, on_handle_closed);
    uv_close((uv_handle_t *)&conn->prepare, on_handle_closed);
}

static void tell_listeners(struct conn *conn, bool up)
{
    if (conn->up == up)
        return;
    conn->up = up;
    log_info(up ? "nats.connected" : "nats.disconnected", "closing=%d", conn->closing ? 1 : 0);
    state_listeners_call(&conn->listeners, up);
}

static void on_wake(uv_async_t *wake)
{
    struct conn *conn = wake->data;
    bool changed;
    bool up;
    bool lost;

    uv_mutex_lock(&conn->mutex);
    changed = conn->state_changed;
    conn->state_changed = false;
    up = conn->state_up;
    lost = conn->lost;
    conn->lost = false;
    uv_mutex_unlock(&conn->mutex);

    if (changed)
        tell_listeners(conn, up);
    conn->closed = conn->closed || lost;
    if (lost && conn->on_lost != NULL)
        conn->on_lost(conn->lost_ctx);
    close_if_quiet(conn);
}

// --- reading -------------------------------------------------------------------------------------

// Hands on what waits in one queue. False: libnats will put nothing more into it.
static bool empty_queue(struct subscription *sub)
{
    while (!sub->closed) {
        uint64_t waiting = 0;
        struct msg msg = {NULL};
        natsStatus s = natsSubscription_QueuedMsgs(sub->nats, &waiting);

        if (s != NATS_OK)
            return false;
        if (waiting == 0)
            return !sub->draining ||
                   natsSubscription_DrainCompletionStatus(sub->nats) == NATS_ILLEGAL_STATE;
        s = natsSubscription_NextMsg(&msg.nats, sub->nats, 0);
        if (s != NATS_OK)
            return s == NATS_TIMEOUT;
        sub->on_message(sub->ctx, &msg);
        discard(sub->conn, msg.nats);
    }
    return true;
}

static void on_check(uv_check_t *check)
{
    struct conn *conn = check->data;
    size_t kept = 0;

    if (conn->closing)
        return;
    // Handlers may add subscriptions (behind the last) and close others (marked, removed below).
    for (size_t i = 0; i < conn->sub_count; i++) {
        if (!empty_queue(conn->subs[i]) && conn->subs[i]->draining)
            conn->subs[i]->closed = true;
    }
    for (size_t i = 0; i < conn->sub_count; i++) {
        struct subscription *sub = conn->subs[i];

        if (!sub->closed) {
            conn->subs[kept++] = sub;
            continue;
        }
        natsSubscription_Destroy(sub->nats);
        free(sub);
    }
    conn->sub_count = kept;
}

// --- writing -------------------------------------------------------------------------------------

// Asks the adapter, unless the connection is closing: then nobody may watch its socket again.
static natsStatus ask_adapter(natsStatus (*ask)(void *adapter, bool add), void *adapter, bool add)
{
    natsStatus s = NATS_OK;

    if (writer == NULL)
        return ask(adapter, add);
    uv_mutex_lock(&writer->mutex);
    if (!writer->closing)
        s = ask(adapter, add);
    uv_mutex_unlock(&writer->mutex);
    return s;
}

// libnats wants to read, or not any more. Any thread, under the lock of libnats' connection.
static natsStatus on_read(void *adapter, bool add)
{
    return ask_adapter(natsLibuv_Read, adapter, add);
}

// libnats wants to write (add), or has written everything. Likewise.
static natsStatus on_write(void *adapter, bool add)
{
    uv_thread_t self = uv_thread_self();

    if (writer != NULL && uv_thread_equal(&self, &writer->thread)) {
        writer->adapter = adapter;
        writer->unsent = add;
        if (add)
            return NATS_OK;
    }
    return ask_adapter(natsLibuv_Write, adapter, add);
}

static bool has_requests(natsLibuvEvents *adapter)
{
    bool found;

    uv_mutex_lock(adapter->lock);
    found = adapter->head != NULL;
    uv_mutex_unlock(adapter->lock);
    return found;
}

// As natsLibuv_Write, which relies on the lock of libnats' connection. We do not have that here.
static natsStatus watch_for_room(natsLibuvEvents *adapter)
{
    if (has_requests(adapter))
        return uvScheduleToEventLoop(adapter, NATS_LIBUV_WRITE, true);
    return uvPollUpdate(adapter, NATS_LIBUV_WRITE, true);
}

// The other thread will close the socket, and libuv aborts when it is asked to watch a closed one.
static void stop_watching(struct conn *conn)
{
    natsLibuvEvents *adapter = conn->adapter;

    uv_mutex_lock(&conn->mutex);
    conn->closing = true;
    uv_mutex_unlock(&conn->mutex);
    if (adapter == NULL)
        return;
    while (has_requests(adapter)) // that were made by other threads before
        uvAsyncCb(adapter->scheduler);
    (void)uvPollUpdate(adapter, NATS_LIBUV_WRITE, false);
    (void)uvPollUpdate(adapter, NATS_LIBUV_READ, false);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct conn *conn = prepare->data;

    if (!conn->unsent || conn->closing)
        return;
    natsConnection_ProcessWriteEvent(conn->nats);
    // Still unsent: the socket is full. Now it is worth waiting for it.
    if (conn->unsent) {
        conn->unsent = false;
        if (watch_for_room(conn->adapter) != NATS_OK)
            log_warn("nats.write", "error=\"the adapter refuses to wait\"");
    }
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
    for (char *url = strtok_r(copy, ", ", &save); url != NULL; url = strtok_r(NULL, ", ", &save)) {
        if (count == SERVERS_MAX)
            return NATS_INVALID_ARG;
        servers[count++] = url;
    }
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
        s = natsOptions_SetEventLoop(options, conn->loop, natsLibuv_Attach, on_read, on_write,
                                     natsLibuv_Detach);
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
        if (s == NATS_CONNECTION_AUTH_FAILED || clock_now_ns() >= deadline)
            break;
        nats_Sleep(RECONNECT_WAIT_MS);
    }
    if (wait_ms > 0 || s == NATS_CONNECTION_AUTH_FAILED)
        log_error("nats.connect", "error=\"%s\"", natsStatus_GetText(s));
    return s == NATS_CONNECTION_AUTH_FAILED ? RC_REFUSED : RC_UNAVAILABLE;
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
    conn->thread = uv_thread_self();
    uv_check_init(loop, &conn->check);
    uv_prepare_init(loop, &conn->prepare);
    conn->handles = 3;
    conn->wake.data = conn;
    conn->check.data = conn;
    conn->prepare.data = conn;
    if (writer == NULL)
        writer = conn;
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
    uv_check_start(&conn->check, on_check);
    uv_prepare_start(&conn->prepare, on_prepare);
    arrival_watch(conn->nats);
    conn->up = true;
    conn->max_payload = (size_t)natsConnection_GetMaxPayload(conn->nats);
    *out = conn;
    return RC_OK;
}

// natsConnection_Close waits, for its flush and its threads: not on the loop's own thread.
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
    state_listeners_fini(&conn->listeners);
    conn->on_lost = NULL;
    if (conn->nats == NULL) {
        conn->closing = true;
        conn->closed = true;
        conn->released = true;
        close_if_quiet(conn);
        return;
    }
    natsConnection_ProcessWriteEvent(conn->nats); // everything is written now
    stop_watching(conn);
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
    state_listeners_add(&conn->listeners, on_state, ctx);
}

void conn_forget_state(struct conn *conn, void *ctx)
{
    state_listeners_remove(&conn->listeners, ctx);
}

void conn_on_lost(struct conn *conn, void (*on_lost)(void *ctx), void *ctx)
{
    conn->on_lost = on_lost;
    conn->lost_ctx = ctx;
}

// --- subscribing and publishing ------------------------------------------------------------------

static void add_subscription(struct conn *conn, struct subscription *sub)
{
    if (conn->sub_count == conn->sub_room) {
        conn->sub_room = conn->sub_room > 0 ? conn->sub_room * 2 : SUBSCRIPTIONS_FIRST;
        conn->subs = realloc(conn->subs, conn->sub_room * sizeof(struct subscription *));
        if (conn->subs == NULL)
            abort();
    }
    conn->subs[conn->sub_count++] = sub;
}

enum rc conn_subscribe(struct subscription **out, struct conn *conn, const char *subject,
                       const char *queue, conn_message_fn on_message, void *ctx)
{
    struct subscription *sub = calloc(1, sizeof *sub);
    natsStatus s;

    if (sub == NULL)
        abort();
    *sub = (struct subscription){.conn = conn, .on_message = on_message, .ctx = ctx};
    if (queue != NULL)
        s = natsConnection_QueueSubscribeSync(&sub->nats, conn->nats, subject, queue);
    else
        s = natsConnection_SubscribeSync(&sub->nats, conn->nats, subject);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(sub->nats, -1, -1); // the default drops silently
    if (s != NATS_OK) {
        log_error("nats.subscribe", "subject=%s error=\"%s\"", subject, natsStatus_GetText(s));
        natsSubscription_Destroy(sub->nats);
        free(sub);
        return RC_IO;
    }
    add_subscription(conn, sub);
    *out = sub;
    return RC_OK;
}

void conn_unsubscribe(struct subscription *sub)
{
    if (sub != NULL)
        sub->closed = true;
}

void conn_drain(struct subscription *sub)
{
    if (sub == NULL || sub->draining || sub->closed)
        return;
    sub->draining = true;
    if (natsSubscription_Drain(sub->nats) != NATS_OK)
        sub->closed = true;
}

size_t conn_draining(const struct conn *conn)
{
    size_t count = 0;

    for (size_t i = 0; i < conn->sub_count; i++)
        count += conn->subs[i]->draining ? 1 : 0;
    return count;
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
    if (msg != NULL)
        discard(conn, msg);
    if (s == NATS_OK)
        return RC_OK;
    log_warn("nats.publish", "subject=%s error=\"%s\"", subject, natsStatus_GetText(s));
    return s == NATS_MAX_PAYLOAD ? RC_TOO_LARGE : RC_UNAVAILABLE;
}
