// Applies numbered SQL files once each, one process at a time.
#include "broker/sql/migrate.h"

#include "broker/base/digest.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RETRY_MS 200
#define LOCK_SQL "SELECT pg_advisory_lock(7482631947)" // any number, the same in every version

static enum rc run(PGconn *conn, const char *what, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    if (!ok)
        log_error("migrate.failed", "what=%s message=\"%s\"", what, PQresultErrorMessage(result));
    PQclear(result);
    return ok ? RC_OK : RC_INTERNAL;
}

// Until it works or the time is over.
static enum rc connect_patiently(PGconn **out, const char *conninfo, int64_t patience_ms)
{
    const char *const keys[] = {"application_name", "connect_timeout", "dbname", NULL};
    const char *const values[] = {"handoffrail-migrate", "5", conninfo, NULL};
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    int64_t deadline_ns = clock_now_ns() + patience_ms * 1000000;
    bool told = false;

    for (;;) {
        PGconn *conn = PQconnectdbParams(keys, values, 1);

        if (PQstatus(conn) == CONNECTION_OK) {
            *out = conn;
            return RC_OK;
        }
        bool over = clock_now_ns() >= deadline_ns;
        if (!told || over)
            log_warn("migrate.waiting", "message=\"%s\"", PQerrorMessage(conn));
        told = true;
        PQfinish(conn);
        if (over)
            return RC_UNAVAILABLE;
        (void)nanosleep(&pause, NULL);
    }
}

// *applied: it is in the database, with this content.
static enum rc look_up(bool *applied, PGconn *conn, const struct sql_file *file, const char *digest)
{
    char version[16];
    const char *values[] = {version};
    enum rc rc = RC_OK;
    PGresult *result;

    (void)snprintf(version, sizeof version, "%d", file->version);
    result = PQexecParams(conn, "SELECT sha256 FROM schema_migrations WHERE version = $1::integer",
                          1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        log_error("migrate.failed", "what=%s message=\"%s\"", file->name,
                  PQresultErrorMessage(result));
        rc = RC_INTERNAL;
    } else if (PQntuples(result) == 0) {
        *applied = false;
    } else if (strcmp(PQgetvalue(result, 0, 0), digest) == 0) {
        *applied = true;
    } else {
        log_error("migrate.changed", "what=%s message=\"it was applied with another content\"",
                  file->name);
        rc = RC_CONFIG;
    }
    PQclear(result);
    return rc;
}

static enum rc record(PGconn *conn, const struct sql_file *file, const char *digest)
{
    char version[16];
    const char *values[] = {version, file->name, digest};
    PGresult *result;
    bool ok;

    (void)snprintf(version, sizeof version, "%d", file->version);
    result = PQexecParams(conn,
                          "INSERT INTO schema_migrations (version, name, sha256)"
                          " VALUES ($1::integer, $2, $3)",
                          3, NULL, values, NULL, NULL, 0);
    ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!ok)
        log_error("migrate.failed", "what=%s message=\"%s\"", file->name,
                  PQresultErrorMessage(result));
    PQclear(result);
    return ok ? RC_OK : RC_INTERNAL;
}

static enum rc apply(PGconn *conn, const struct sql_file *file)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];
    bool applied;
    enum rc rc;

    digest_of(digest, file->text, file->len);
    hex_format(hex, digest, sizeof digest);
    rc = look_up(&applied, conn, file, hex);
    if (rc != RC_OK || applied)
        return rc;

    rc = run(conn, file->name, "BEGIN");
    if (rc == RC_OK)
        rc = run(conn, file->name, file->text);
    if (rc == RC_OK)
        rc = record(conn, file, hex);
    if (rc == RC_OK)
        rc = run(conn, file->name, "COMMIT");
    if (rc == RC_OK)
        log_info("migrate.applied", "what=%s", file->name);
    return rc;
}

enum rc migrate_apply(const char *conninfo, const struct sql_file *files, int64_t patience_ms)
{
    PQconninfoOption *parsed = PQconninfoParse(conninfo, NULL);
    PGconn *conn = NULL;
    enum rc rc;

    if (parsed == NULL) {
        log_error("migrate.conninfo", "message=\"not a connection string\"");
        return RC_CONFIG;
    }
    PQconninfoFree(parsed);
    rc = connect_patiently(&conn, conninfo, patience_ms);
    if (rc != RC_OK)
        return rc;
    // The lock goes with the connection. An open transaction is rolled back in the same way.
    rc = run(conn, "lock", LOCK_SQL);
    if (rc == RC_OK)
        rc = run(conn, "schema_migrations",
                 "SET client_min_messages = warning;"
                 "CREATE TABLE IF NOT EXISTS schema_migrations ("
                 " version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
                 " applied_at timestamptz NOT NULL DEFAULT now())");
    for (const struct sql_file *file = files; rc == RC_OK && file->version != 0; file++)
        rc = apply(conn, file);
    PQfinish(conn);
    return rc;
}
