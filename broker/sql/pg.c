// The pool: hands jobs to idle links, keeps the others in a queue, and knows whether anything is
// up.
#include "broker/sql/pg.h"

#include "broker/base/log.h"
#include "broker/sql/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 1000
#define LINKS_MAX 64
#define TIMEOUT_MS 5000

struct pg {
    struct link_spec spec;
    void (*on_state)(void *ctx, bool up);
    void (*on_notify)(void *ctx, const char *channel, const char *payload);
    void *ctx;
    uint64_t timeout_ms;
    bool is_short;

    struct job *head; // of the queue: the oldest, which is the first to time out
    struct job *tail;
    int waiting;
    uv_timer_t timer; // until the head times out

    bool closing;
    int open_handles; // links and the timer; the last one frees
    void (*on_closed)(void *ctx);
    void *closed_ctx;

    int up;
    int count;
    struct link links[];
};

static char *copy_of(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);

    if (copy == NULL)
        abort();
    return memcpy(copy, text, bytes);
}

static void on_queue_timer(uv_timer_t *timer);

static void arm(struct pg *pg)
{
    uint64_t now = uv_now(pg->spec.loop);

    if (pg->head == NULL)
        uv_timer_stop(&pg->timer);
    else
        uv_timer_start(&pg->timer, on_queue_timer,
                       pg->head->deadline_ms > now ? pg->head->deadline_ms - now : 0, 0);
}

static struct job *pop(struct pg *pg)
{
    struct job *job = pg->head;

    pg->head = job->next;
    if (pg->head == NULL)
        pg->tail = NULL;
    pg->waiting--;
    arm(pg);
    return job;
}

static void on_queue_timer(uv_timer_t *timer)
{
    struct pg *pg = timer->data;
    uint64_t now = uv_now(pg->spec.loop);

    while (pg->head != NULL && pg->head->deadline_ms <= now)
        job_finish(pop(pg), RC_TIMEOUT);
    if (!pg->closing)
        arm(pg);
}

static void fail_queue(struct pg *pg, enum rc rc)
{
    while (pg->head != NULL)
        job_finish(pop(pg), rc);
}

static void on_link_idle(void *pool, struct link *link)
{
    struct pg *pg = pool;

    if (!link->counted) {
        link->counted = true;
        if (++pg->up == 1) {
            log_write(pg->is_short ? LOG_DEBUG : LOG_INFO, "pg.up", "application=%s",
                      pg->spec.application);
            if (pg->on_state != NULL)
                pg->on_state(pg->ctx, true);
        }
    }
    // on_state may have used it, or closed everything.
    if (link->state == LINK_IDLE && pg->head != NULL) {
        struct job *job = pop(pg);

        if (!link_start(link, job))
            job_finish(job, RC_UNAVAILABLE);
    }
}

static void on_link_down(void *pool, struct link *link)
{
    struct pg *pg = pool;

    if (!link->counted)
        return;
    link->counted = false;
    if (--pg->up > 0)
        return;
    log_write(pg->is_short ? LOG_DEBUG : LOG_WARN, "pg.down", "application=%s",
              pg->spec.application);
    fail_queue(pg, RC_UNAVAILABLE);
    if (pg->on_state != NULL && !pg->closing)
        pg->on_state(pg->ctx, false);
}

static void on_link_notify(void *pool, const char *channel, const char *payload)
{
    struct pg *pg = pool;

    if (pg->on_notify != NULL)
        pg->on_notify(pg->ctx, channel, payload);
}

static void release(struct pg *pg)
{
    free(pg->spec.conninfo);
    free(pg->spec.application);
    free(pg->spec.session);
    free(pg->spec.host);
    free(pg);
}

static void on_handle_closed(void *pool)
{
    struct pg *pg = pool;
    void (*on_closed)(void *ctx) = pg->on_closed;
    void *ctx = pg->closed_ctx;

    if (--pg->open_handles > 0)
        return;
    release(pg);
    if (on_closed != NULL)
        on_closed(ctx);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

// The one host name that the loop has to resolve, because libpq would block on it. NULL when there
// is none; a list of hosts is left to libpq.
static enum rc host_of(char **host, const char *conninfo)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &error);
    const char *name = NULL;
    bool has_address = false;

    if (options == NULL) {
        // Not libpq's words: they quote the text, which may hold a password.
        log_error("pg.conninfo", "message=\"not a connection string\"");
        PQfreemem(error);
        return RC_CONFIG;
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || option->val[0] == '\0')
            continue;
        if (strcmp(option->keyword, "host") == 0)
            name = option->val;
        if (strcmp(option->keyword, "hostaddr") == 0)
            has_address = true;
    }
    *host = NULL;
    if (name != NULL && !has_address && name[0] != '/' && name[0] != '@' &&
        strchr(name, ',') == NULL)
        *host = copy_of(name);
    PQconninfoFree(options);
    return RC_OK;
}

// A query that takes too long is stopped by the server, so that it does not go on for nobody.
static char *session_sql(const char *session, int timeout_ms)
{
    struct buf sql = {0};

    buf_printf(&sql, "SET statement_timeout = %d;", timeout_ms);
    if (session != NULL)
        buf_puts(&sql, session);
    (void)buf_text(&sql);
    return sql.data;
}

enum rc pg_open(struct pg **pg, uv_loop_t *loop, const struct pg_options *options)
{
    int timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    struct pg *pool;
    char *host;
    enum rc rc;

    assert(options->connections >= 1 && options->connections <= LINKS_MAX);
    rc = host_of(&host, options->conninfo);
    if (rc != RC_OK)
        return rc;
    pool = calloc(1, sizeof *pool + (size_t)options->connections * sizeof pool->links[0]);
    if (pool == NULL)
        abort();
    pool->spec = (struct link_spec){
        .loop = loop,
        .conninfo = copy_of(options->conninfo),
        .application = copy_of(options->application),
        .session = session_sql(options->session, timeout_ms),
        .host = host,
        .on_idle = on_link_idle,
        .on_down = on_link_down,
        .on_closed = on_handle_closed,
        .on_notify = on_link_notify,
        .pool = pool,
    };
    pool->on_state = options->on_state;
    pool->on_notify = options->on_notify;
    pool->ctx = options->ctx;
    pool->timeout_ms = (uint64_t)timeout_ms;
    pool->is_short = options->is_short;
    pool->count = options->connections;
    pool->open_handles = pool->count + 1;
    uv_timer_init(loop, &pool->timer);
    pool->timer.data = pool;
    for (int i = 0; i < pool->count; i++)
        link_open(&pool->links[i], &pool->spec);
    *pg = pool;
    return RC_OK;
}

void pg_close(struct pg *pg, void (*on_closed)(void *ctx), void *ctx)
{
    if (pg == NULL || pg->closing)
        return;
    pg->closing = true;
    pg->on_closed = on_closed;
    pg->closed_ctx = ctx;
    fail_queue(pg, RC_CLOSED);
    for (int i = 0; i < pg->count; i++)
        link_close(&pg->links[i]);
    uv_close((uv_handle_t *)&pg->timer, on_timer_closed);
}

bool pg_is_up(const struct pg *pg)
{
    return pg->up > 0;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

// Copies the steps and their values, so that they outlive pg_run.
static void keep(struct job *job)
{
    size_t bytes = aligned((size_t)job->count * sizeof *job->steps);
    struct pg_step *steps;
    char *at;

    for (int i = 0; i < job->count; i++) {
        bytes += aligned((size_t)job->steps[i].param_count * sizeof *job->steps[i].params);
        for (int k = 0; k < job->steps[i].param_count; k++) {
            if (job->steps[i].params[k].data != NULL)
                bytes += job->steps[i].params[k].len;
        }
        bytes = aligned(bytes);
    }
    job->kept = malloc(bytes);
    if (job->kept == NULL)
        abort();
    steps = job->kept;
    at = (char *)job->kept + aligned((size_t)job->count * sizeof *steps);
    for (int i = 0; i < job->count; i++) {
        const struct pg_step *step = &job->steps[i];
        struct pg_param *params = (struct pg_param *)(void *)at;
        char *start = at;

        at += aligned((size_t)step->param_count * sizeof *params);
        for (int k = 0; k < step->param_count; k++) {
            params[k] = step->params[k];
            if (params[k].data == NULL)
                continue;
            if (params[k].len > 0)
                memcpy(at, params[k].data, params[k].len);
            params[k].data = at;
            at += params[k].len;
        }
        at = start + aligned((size_t)(at - start));
        steps[i] = (struct pg_step){step->statement, params, step->param_count};
    }
    job->steps = steps;
}

static struct link *idle_link(struct pg *pg)
{
    for (int i = 0; i < pg->count; i++) {
        if (pg->links[i].state == LINK_IDLE)
            return &pg->links[i];
    }
    return NULL;
}

enum rc pg_run(struct pg *pg, enum pg_mode mode, const struct pg_step *steps, int count,
               pg_on_done on_done, void *ctx)
{
    struct link *link;
    struct job *job;

    assert(count >= 1 && (count == 1 || mode != PG_SINGLE));
    if (pg->closing)
        return RC_CLOSED;
    if (pg->up == 0 || pg->waiting == QUEUE_MAX)
        return RC_UNAVAILABLE;
    job = calloc(1, sizeof *job + (size_t)count * sizeof(void *));
    if (job == NULL)
        abort();
    job->deadline_ms = uv_now(pg->spec.loop) + pg->timeout_ms;
    job->mode = mode;
    job->count = count;
    job->steps = steps;
    job->on_done = on_done;
    job->ctx = ctx;

    link = idle_link(pg);
    if (link != NULL) {
        if (link_start(link, job))
            return RC_OK;
        job_destroy(job);
        return RC_UNAVAILABLE;
    }
    keep(job);
    if (pg->tail != NULL)
        pg->tail->next = job;
    else
        pg->head = job;
    pg->tail = job;
    if (++pg->waiting == 1)
        arm(pg);
    return RC_OK;
}

enum rc pg_query(struct pg *pg, const struct pg_statement *statement, const struct pg_param *params,
                 int param_count, pg_on_done on_done, void *ctx)
{
    const struct pg_step step = {statement, params, param_count};

    return pg_run(pg, PG_SINGLE, &step, 1, on_done, ctx);
}
