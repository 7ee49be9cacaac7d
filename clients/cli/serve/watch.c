// One timer; on each tick every child that has answered is asked again.
//
// Silence is counted tick by tick and a late tick counts as one, so that a machine which slept, or
// a serve that was stopped itself, does not find everybody deaf.
#include "clients/cli/serve/watch.h"

#include "broker/sql/pg.h"
#include "clients/cli/serve/probe.h"
#include "clients/cli/serve/say.h"

#include <stdlib.h>

#define TICKS 10          // until a silent child is deaf
#define STARTING_TIMES 20 // a server that recovers its data answers nobody for so much longer
#define INBOX "_INBOX.serve"

struct watched {
    struct watch *watch;
    struct child *child;
    struct watched *next;
    struct probe probe; // all but Postgres
    struct pg *session; // Postgres: the one that is asked
    bool is_postgres;
    bool is_server; // NATS or Postgres
    bool good;      // Postgres: it has answered since the last tick
    bool asked;     // a query is on its way
    pid_t pid;      // that the rest is about
    bool answered;  // since it was started
    int64_t silent_ms;
    int end_steps; // taken to end it
};

struct watch {
    struct watch_spec spec;
    struct watched *first;
    uv_timer_t timer;
    uint64_t tick_ms;
    bool closed;
};

static const struct pg_statement select_one = {"watch", "SELECT 1"};

// --- Postgres ------------------------------------------------------------------------------------

static void on_row(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct watched *watched = ctx;

    (void)results;
    watched->asked = false;
    watched->good = watched->good || rc == RC_OK;
}

static void on_session(void *ctx, bool up)
{
    struct watched *watched = ctx;

    if (up && !watched->asked && watched->session != NULL)
        watched->asked = pg_query(watched->session, &select_one, NULL, 0, on_row, watched) == RC_OK;
}

static void end_session(struct watched *watched)
{
    struct pg *session = watched->session;

    watched->session = NULL;
    if (session != NULL)
        pg_close(session, NULL, NULL);
    watched->asked = false;
}

// A session that is there already would answer although no new one can be had.
static void ask_postgres(struct watched *watched)
{
    struct watch *watch = watched->watch;
    const struct pg_options options = {.conninfo = postgres_url(watch->spec.postgres),
                                       .application = "handoffrail serve",
                                       .connections = 1,
                                       .is_short = true,
                                       .timeout_ms = (int)watch->spec.deaf_ms,
                                       .on_state = on_session,
                                       .ctx = watched};

    if (watched->good)
        end_session(watched);
    watched->good = false;
    if (watched->session != NULL)
        return;
    if (pg_open(&watched->session, watch->spec.loop, &options) != RC_OK)
        watched->session = NULL;
}

// --- all -----------------------------------------------------------------------------------------

static bool has_answered(const struct watched *watched)
{
    return watched->is_postgres ? watched->good : probe_is_good(&watched->probe);
}

static void ask(struct watched *watched)
{
    if (watched->is_postgres) {
        ask_postgres(watched);
        return;
    }
    probe_forget(&watched->probe);
    probe_poke(&watched->probe);
}

static void start_over(struct watched *watched, pid_t pid)
{
    end_session(watched);
    probe_cancel(&watched->probe);
    watched->good = false;
    watched->pid = pid;
    watched->answered = false;
    watched->silent_ms = 0;
    watched->end_steps = 0;
}

static void look_at(struct watched *watched)
{
    const struct watch *watch = watched->watch;
    const char *name = child_name(watched->child);
    pid_t pid = child_pid(watched->child);
    int64_t limit_ms = watch->spec.deaf_ms;

    if (pid != watched->pid)
        start_over(watched, pid);
    if (pid == 0 || child_is_stopping(watched->child))
        return;
    if (has_answered(watched)) {
        if (watched->silent_ms > limit_ms / 2)
            say(LOG_INFO, "child.answers", name, "answers again");
        watched->answered = true;
        watched->silent_ms = 0;
        watched->end_steps = 0;
        ask(watched);
        return;
    }
    ask(watched);
    watched->silent_ms += (int64_t)watch->tick_ms;
    if (!watched->answered && watched->is_server)
        limit_ms *= STARTING_TIMES;
    if (watched->silent_ms - (int64_t)watch->tick_ms <= limit_ms / 2 &&
        watched->silent_ms > limit_ms / 2)
        say(LOG_WARN, "child.silent", name, "has not answered for %lld s",
            (long long)watched->silent_ms / 1000);
    if (watched->silent_ms <= limit_ms)
        return;
    if (watched->end_steps == 0)
        say(LOG_ERROR, "child.deaf", name, "has not answered for %lld s, ending it",
            (long long)watched->silent_ms / 1000);
    child_end_deaf(watched->child, watched->end_steps++);
}

static void on_tick(uv_timer_t *timer)
{
    struct watch *watch = timer->data;

    for (struct watched *watched = watch->first; watched != NULL; watched = watched->next)
        look_at(watched);
}

static void init_probe(struct watched *watched)
{
    struct watch *watch = watched->watch;
    struct probe_spec spec = {
        .path = child_health_path(watched->child),
        .request = "GET /healthz HTTP/1.1\r\nHost: serve\r\nConnection: close\r\n\r\n",
        .expected = "HTTP/1.1 200",
        .patience_ms = watch->spec.deaf_ms / 2,
    };

    if (watched->child == watch->spec.nats->child) {
        spec = (struct probe_spec){
            .port = watch->spec.nats->port,
            .request = nats_question(watch->spec.nats, watch->spec.memory, INBOX),
            .expected = "\r\nMSG " INBOX, // what it says does not matter
            .stays_open = true,
            .patience_ms = watch->spec.deaf_ms / 2,
        };
        watched->is_server = true;
    }
    probe_init(&watched->probe, watch->spec.loop, &spec);
}

static void add(struct watch *watch, struct child *child)
{
    struct watched *watched;
    bool is_postgres = watch->spec.postgres != NULL && child_is_lasting(child) &&
                       child == postgres_child(watch->spec.postgres);

    if (!is_postgres && child != watch->spec.nats->child && child_health_path(child) == NULL)
        return;
    watched = calloc(1, sizeof *watched);
    if (watched == NULL)
        abort();
    *watched = (struct watched){.watch = watch,
                                .child = child,
                                .next = watch->first,
                                .is_postgres = is_postgres,
                                .is_server = is_postgres};
    if (!is_postgres)
        init_probe(watched);
    // The fleet is started when both servers have answered.
    watched->pid = child_pid(child);
    watched->answered = watched->is_server;
    watch->first = watched;
}

struct watch *watch_create(const struct watch_spec *spec)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        abort();
    watch->spec = *spec;
    watch->tick_ms = (uint64_t)spec->deaf_ms / TICKS;
    for (struct child *child = child_first(spec->group); child != NULL; child = child_next(child))
        add(watch, child);
    (void)uv_timer_init(spec->loop, &watch->timer); // cannot fail
    watch->timer.data = watch;
    (void)uv_timer_start(&watch->timer, on_tick, watch->tick_ms, watch->tick_ms);
    return watch;
}

void watch_close(struct watch *watch)
{
    if (watch == NULL || watch->closed)
        return;
    watch->closed = true;
    for (struct watched *watched = watch->first; watched != NULL; watched = watched->next) {
        end_session(watched);
        probe_cancel(&watched->probe);
    }
    uv_close((uv_handle_t *)&watch->timer, NULL);
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    while (watch->first != NULL) {
        struct watched *watched = watch->first;

        watch->first = watched->next;
        free(watched);
    }
    free(watch);
}
