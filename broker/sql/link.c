// The life of a connection: address, handshake, session set-up, work, and again from the start when
// it breaks. libpq does the protocol; the loop watches its socket and tells it when to go on.
//
// libpq may replace the socket while it connects, even by one of the same number, so the watch is
// taken off before every step of the handshake and put on again behind it.
#include "broker/sql/link.h"

#include "broker/base/buf.h"
#include "broker/base/log.h"
#include "broker/sql/exchange.h"

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 5000
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS 2000
#define ADDRESSES_MAX 8
#define GRACE_MS 250 // the server's own statement_timeout comes first and spares the connection

static void on_socket(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

void job_destroy(struct job *job)
{
    for (int i = 0; i < job->count; i++)
        PQclear(job->results[i]);
    free(job->kept);
    free(job);
}

void job_finish(struct job *job, enum rc rc)
{
    // The array is const for the callback all the way down.
    const struct pg_result *const *results = (const struct pg_result *const *)job->results;

    job->on_done(job->ctx, rc, rc == RC_OK ? results : NULL);
    job_destroy(job);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void unwatch(struct link *link)
{
    if (link->poll == NULL)
        return;
    uv_poll_stop(link->poll);
    uv_close((uv_handle_t *)link->poll, on_poll_closed);
    link->poll = NULL;
}

// False: the loop does not take the socket.
static bool watch(struct link *link, int events)
{
    int fd = PQsocket(link->conn);
    int error;

    if (link->poll != NULL && link->poll_fd != fd)
        unwatch(link);
    if (link->poll == NULL) {
        uv_poll_t *poll = calloc(1, sizeof *poll);

        if (poll == NULL)
            abort();
        error = uv_poll_init(link->spec->loop, poll, fd);
        if (error != 0) {
            log_error("pg.poll_failed", "error=\"%s\"", uv_strerror(error));
            free(poll);
            return false;
        }
        poll->data = link;
        link->poll = poll;
        link->poll_fd = fd;
    }
    error = uv_poll_start(link->poll, events, on_socket);
    if (error != 0)
        log_error("pg.poll_failed", "error=\"%s\"", uv_strerror(error));
    return error == 0;
}

static void arm(struct link *link, uint64_t ms)
{
    uv_timer_start(&link->timer, on_timer, ms, 0);
}

static void retry_later(struct link *link)
{
    uint16_t noise;

    if (link->delay_ms == 0)
        link->delay_ms = RETRY_FIRST_MS;
    else if (link->delay_ms < RETRY_MOST_MS / 2)
        link->delay_ms *= 2;
    else
        link->delay_ms = RETRY_MOST_MS;
    random_bytes(&noise, sizeof noise);
    // Between half and all of it, so that many processes do not come back at the same moment.
    arm(link, link->delay_ms / 2 + noise % (link->delay_ms / 2 + 1));
}

// Lets go of the session. The job in hand ends with rc.
static void drop(struct link *link, enum rc rc)
{
    struct job *job = link->job;

    unwatch(link);
    uv_timer_stop(&link->timer);
    PQfinish(link->conn);
    link->conn = NULL;
    link->job = NULL;
    link->prepared_count = 0;
    link->state = LINK_DOWN;
    retry_later(link);
    link->spec->on_down(link->spec->pool, link);
    if (job != NULL)
        job_finish(job, rc);
}

static void fail(struct link *link, const char *stage)
{
    // Only the first of many vain tries is news.
    enum log_level level = link->delay_ms == 0 ? LOG_WARN : LOG_DEBUG;

    log_write(level, "pg.connection_failed", "stage=%s message=\"%s\"", stage,
              link->conn != NULL ? PQerrorMessage(link->conn) : "");
    drop(link, RC_UNAVAILABLE);
}

static void become_idle(struct link *link)
{
    uv_timer_stop(&link->timer);
    link->state = LINK_IDLE;
    link->spec->on_idle(link->spec->pool, link);
}

static void start_setup(struct link *link)
{
    link->state = LINK_SETUP;
    if (PQsetnonblocking(link->conn, 1) != 0 || PQsendQuery(link->conn, link->spec->session) != 1 ||
        PQflush(link->conn) < 0 || !watch(link, UV_READABLE | UV_WRITABLE)) {
        fail(link, "setup");
        return;
    }
}

static void continue_setup(struct link *link)
{
    while (PQisBusy(link->conn) == 0) {
        PGresult *result = PQgetResult(link->conn);
        ExecStatusType status = PQresultStatus(result);

        if (result == NULL) {
            if (PQenterPipelineMode(link->conn) != 1 || !watch(link, UV_READABLE)) {
                fail(link, "setup");
                return;
            }
            link->delay_ms = 0;
            become_idle(link);
            return;
        }
        PQclear(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            fail(link, "setup");
            return;
        }
    }
}

static void continue_connecting(struct link *link)
{
    if (link->poll != NULL)
        uv_poll_stop(link->poll);
    switch (PQconnectPoll(link->conn)) {
    case PGRES_POLLING_READING:
        if (!watch(link, UV_READABLE))
            fail(link, "connect");
        return;
    case PGRES_POLLING_WRITING:
        if (!watch(link, UV_WRITABLE))
            fail(link, "connect");
        return;
    case PGRES_POLLING_OK:
        start_setup(link);
        return;
    default:
        fail(link, "connect");
        return;
    }
}

// Without this libpq writes to standard error by itself.
static void on_notice(void *ctx, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    (void)ctx;
    log_debug("pg.notice", "message=\"%s\"", message != NULL ? message : "");
}

// addresses: comma lists of equal length for libpq, or NULL when it finds the host itself.
static void connect_to(struct link *link, const char *hosts, const char *addresses)
{
    const struct link_spec *spec = link->spec;
    // What stands before dbname, conninfo may override; what stands behind it, not.
    const char *keys[] = {
        "application_name",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "dbname",
        "client_encoding",
        "host",
        "hostaddr",
        NULL,
    };
    const char *values[] = {
        spec->application, "10", "3", "3", "10000", spec->conninfo, "UTF8", hosts, addresses, NULL,
    };

    if (hosts == NULL)
        keys[7] = NULL;
    link->state = LINK_CONNECTING;
    arm(link, CONNECT_MS);
    link->conn = PQconnectStartParams(keys, values, 1);
    if (link->conn == NULL)
        abort();
    (void)PQsetNoticeReceiver(link->conn, on_notice, NULL);
    if (PQstatus(link->conn) == CONNECTION_BAD || !watch(link, UV_WRITABLE))
        fail(link, "connect");
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct link *link = request->data;
    struct buf hosts = {0};
    struct buf addresses = {0};
    int count = 0;

    link->resolving = false;
    if (link->state == LINK_CLOSED) {
        uv_freeaddrinfo(list);
        link->spec->on_closed(link->spec->pool);
        return;
    }
    for (struct addrinfo *at = list; at != NULL && count < ADDRESSES_MAX; at = at->ai_next) {
        char text[64];

        if (uv_ip_name(at->ai_addr, text, sizeof text) != 0)
            continue;
        buf_printf(&hosts, "%s%s", count > 0 ? "," : "", link->spec->host);
        buf_printf(&addresses, "%s%s", count > 0 ? "," : "", text);
        count++;
    }
    uv_freeaddrinfo(list);
    if (link->state == LINK_RESOLVING) {
        if (count == 0) {
            log_write(link->delay_ms == 0 ? LOG_WARN : LOG_DEBUG, "pg.resolve_failed",
                      "host=%s error=\"%s\"", link->spec->host,
                      status != 0 ? uv_strerror(status) : "no address");
            drop(link, RC_UNAVAILABLE);
        } else {
            connect_to(link, buf_text(&hosts), buf_text(&addresses));
        }
    }
    buf_fini(&hosts);
    buf_fini(&addresses);
}

static void begin(struct link *link)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (link->spec->host == NULL) {
        connect_to(link, NULL, NULL);
        return;
    }
    link->state = LINK_RESOLVING;
    arm(link, CONNECT_MS);
    if (link->resolving)
        return; // the last one is still under way; it will do
    link->resolve.data = link;
    if (uv_getaddrinfo(link->spec->loop, &link->resolve, on_resolved, link->spec->host, NULL,
                       &hints) != 0) {
        fail(link, "resolve");
        return;
    }
    link->resolving = true;
}

static void on_timer(uv_timer_t *timer)
{
    struct link *link = timer->data;

    switch (link->state) {
    case LINK_DOWN:
        begin(link);
        return;
    case LINK_BUSY:
        log_warn("pg.timeout", "what=query");
        drop(link, RC_TIMEOUT);
        return;
    default:
        log_write(link->delay_ms == 0 ? LOG_WARN : LOG_DEBUG, "pg.timeout", "what=connection");
        drop(link, RC_TIMEOUT);
        return;
    }
}

// Sends what is still in libpq's buffer and watches accordingly.
static bool flush(struct link *link)
{
    int rest = PQflush(link->conn);

    return rest >= 0 && watch(link, rest > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void finish_job(struct link *link)
{
    struct job *job = link->job;

    link->job = NULL;
    if (PQtransactionStatus(link->conn) == PQTRANS_INERROR) {
        link->state = LINK_CLEANING;
        arm(link, CONNECT_MS);
        if (!exchange_send_rollback(link) || !flush(link))
            fail(link, "rollback");
    } else {
        become_idle(link);
    }
    // Last: the callback may do anything, closing the pool included.
    job_finish(job, job->rc);
}

static void continue_work(struct link *link)
{
    struct job *job = link->job;

    switch (exchange_read(link, job)) {
    case EXCHANGE_PENDING:
        return;
    case EXCHANGE_DONE:
        if (job != NULL)
            finish_job(link);
        else
            become_idle(link);
        return;
    case EXCHANGE_BROKEN:
        // A refusal that made the session stale is the better answer, when there is one.
        if (job != NULL && job->rc != RC_OK && job->rc != RC_INTERNAL)
            drop(link, job->rc);
        else
            fail(link, "work");
        return;
    }
}

static void take_notifications(struct link *link)
{
    PGnotify *note;

    while (link->conn != NULL && (note = PQnotifies(link->conn)) != NULL) {
        link->spec->on_notify(link->spec->pool, note->relname, note->extra);
        PQfreemem(note);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;

    if (link->state == LINK_CONNECTING) {
        continue_connecting(link);
        return;
    }
    // A broken socket (status < 0) shows when it is read.
    if (((events & UV_READABLE) != 0 || status < 0) && PQconsumeInput(link->conn) != 1) {
        fail(link, "read");
        return;
    }
    if (!flush(link)) {
        fail(link, "write");
        return;
    }
    if (link->state == LINK_SETUP)
        continue_setup(link);
    else if (link->state == LINK_BUSY || link->state == LINK_CLEANING)
        continue_work(link);
    else if (PQisBusy(link->conn) == 0 && PQstatus(link->conn) == CONNECTION_BAD)
        fail(link, "idle");
    if (link->state >= LINK_IDLE)
        take_notifications(link);
}

bool link_start(struct link *link, struct job *job)
{
    uint64_t now = uv_now(link->spec->loop);

    assert(link->state == LINK_IDLE);
    if (!exchange_send(link, job) || !flush(link)) {
        fail(link, "send");
        return false;
    }
    job->steps = NULL;
    link->job = job;
    link->state = LINK_BUSY;
    arm(link, GRACE_MS + (job->deadline_ms > now ? job->deadline_ms - now : 0));
    return true;
}

void link_open(struct link *link, const struct link_spec *spec)
{
    *link = (struct link){.spec = spec, .state = LINK_DOWN};
    uv_timer_init(spec->loop, &link->timer);
    link->timer.data = link;
    begin(link);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;

    free(link->commands);
    free(link->prepared);
    if (link->resolving) {
        (void)uv_cancel((uv_req_t *)&link->resolve); // either way on_resolved is called
        return;
    }
    link->spec->on_closed(link->spec->pool);
}

void link_close(struct link *link)
{
    struct job *job = link->job;

    unwatch(link);
    PQfinish(link->conn);
    link->conn = NULL;
    link->job = NULL;
    link->state = LINK_CLOSED;
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
    if (job != NULL)
        job_finish(job, RC_CLOSED);
}
