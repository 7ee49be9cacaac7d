// The laboratory: libpq directly where the product must not be trusted to check itself.
#include "tests/integration/sql/lab.h"

#include "broker/base/id.h"
#include "broker/base/timestamp.h"
#include "broker/sql/migrate.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 60000 // a busy machine is no failure
static const char *server_url(void)
{
    const char *url = getenv("HR_POSTGRES_URL");

    if (url == NULL) {
        (void)fprintf(stderr, "run under tests/support/with_postgres.sh\n");
        abort();
    }
    return url;
}

static const char *run_sql(struct lab *lab, const char *url, const char *sql)
{
    PGconn *conn = PQconnectdb(url);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    const char *text = "";

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        (void)fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(conn));
        abort();
    }
    if (status == PGRES_TUPLES_OK && PQntuples(result) > 0)
        text = arena_copy(lab->arena, PQgetvalue(result, 0, 0), strlen(PQgetvalue(result, 0, 0)));
    PQclear(result);
    PQfinish(conn);
    return text;
}

const char *lab_sql(struct lab *lab, const char *sql)
{
    return run_sql(lab, lab->conninfo, sql);
}

void lab_open(struct lab *lab, bool migrated)
{
    char name[UUID_TEXT_BYTES];
    struct uuid uuid;
    char sql[256];

    *lab = (struct lab){.arena = arena_create(1 << 16)};
    random_bytes(&uuid, sizeof uuid);
    uuid_format(name, &uuid);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    (void)run_sql(lab, server_url(), sql);
    // The last word counts.
    lab->conninfo = arena_printf(lab->arena, "%s dbname=%s", server_url(), name);
    if (migrated)
        cr_assert_eq(migrate_apply(lab->conninfo, sql_files, 10000), RC_OK);
    uv_loop_init(&lab->loop);
    uv_timer_init(&lab->loop, &lab->deadline);
    lab->deadline.data = lab;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

void lab_close(struct lab *lab)
{
    bool closed = false;

    if (lab->pg != NULL) {
        pg_close(lab->pg, on_closed, &closed);
        cr_assert(lab_until(lab, &closed, 5000), "the pool does not close");
    }
    uv_close((uv_handle_t *)&lab->deadline, NULL);
    uv_run(&lab->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&lab->loop), 0, "handles are left on the loop");
    free(lab->notified);
    arena_destroy(lab->arena);
}

static void on_deadline(uv_timer_t *timer)
{
    ((struct lab *)timer->data)->late = true;
}

bool lab_until(struct lab *lab, const bool *flag, int ms)
{
    lab->late = false;
    uv_update_time(&lab->loop);
    uv_timer_start(&lab->deadline, on_deadline, (uint64_t)ms, 0);
    while (!*flag && !lab->late)
        uv_run(&lab->loop, UV_RUN_ONCE);
    uv_timer_stop(&lab->deadline);
    return *flag;
}

void lab_pause(struct lab *lab, int ms)
{
    const bool never = false;

    (void)lab_until(lab, &never, ms);
}

int64_t lab_now_ms(void)
{
    return clock_now_ns() / 1000000;
}

static void on_state(void *ctx, bool up)
{
    struct lab *lab = ctx;

    lab->up = up;
    lab->downs += up ? 0 : 1;
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct lab *lab = ctx;

    (void)channel;
    free(lab->notified);
    lab->notified = strdup(payload);
}

void lab_connect(struct lab *lab, int connections, int timeout_ms, const char *session)
{
    const struct pg_options options = {
        .conninfo = lab->conninfo,
        .application = "lab",
        .session = session,
        .connections = connections,
        .timeout_ms = timeout_ms > 0 ? timeout_ms : PATIENCE_MS,
        .on_state = on_state,
        .on_notify = on_notify,
        .ctx = lab,
    };

    cr_assert_eq(pg_open(&lab->pg, &lab->loop, &options), RC_OK);
    cr_assert(lab_until(lab, &lab->up, 10000), "no connection");
}

static const char *in_folder(struct lab *lab, const char *name)
{
    return arena_printf(lab->arena, "%s/%s", getenv("HR_TEST_POSTGRES"), name);
}

void lab_kill(struct lab *lab)
{
    FILE *file = fopen(in_folder(lab, "data/postmaster.pid"), "re");
    int hold = open(in_folder(lab, "hold"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    char line[32] = "";

    cr_assert(file != NULL && hold >= 0 && fgets(line, sizeof line, file) != NULL);
    (void)fclose(file);
    (void)close(hold);
    cr_assert_eq(kill((pid_t)strtol(line, NULL, 10), SIGQUIT), 0);
}

void lab_revive(struct lab *lab)
{
    cr_assert_eq(unlink(in_folder(lab, "hold")), 0);
}

void lab_on_done(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct lab_answer *answer = ctx;

    (void)results;
    answer->done = true;
    answer->rc = rc;
    answer->calls++;
}
