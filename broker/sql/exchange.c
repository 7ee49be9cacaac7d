// One job is one libpq pipeline: [prepare] execute, for every step, between BEGIN and COMMIT when
// it is a transaction, and a sync behind it. It is one round trip however many steps it has.
//
// Results come in the order of the commands. The server skips what follows a failed command until
// the sync, so COMMIT is never reached then and the transaction has to be rolled back.
#include "broker/sql/exchange.h"

#include "broker/base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BINARY 1
#define PARAMS_MAX 32

struct command {
    const struct pg_statement *statement; // NULL: BEGIN, COMMIT or ROLLBACK
    int step;                             // that it executes; -1: it only prepares
};

static void push(struct link *link, const struct pg_statement *statement, int step)
{
    if (link->command_count == link->command_cap) {
        int cap = link->command_cap > 0 ? link->command_cap * 2 : 16;
        struct command *commands = realloc(link->commands, (size_t)cap * sizeof *link->commands);

        if (commands == NULL)
            abort();
        link->commands = commands;
        link->command_cap = cap;
    }
    link->commands[link->command_count++] = (struct command){statement, step};
}

static bool is_prepared(const struct link *link, const struct pg_statement *statement)
{
    for (int i = 0; i < link->prepared_count; i++) {
        if (link->prepared[i] == statement)
            return true;
    }
    return false;
}

static void remember_prepared(struct link *link, const struct pg_statement *statement)
{
    if (is_prepared(link, statement))
        return; // twice in one job
    if (link->prepared_count == link->prepared_cap) {
        int cap = link->prepared_cap > 0 ? link->prepared_cap * 2 : 16;
        const struct pg_statement **prepared =
            realloc(link->prepared, (size_t)cap * sizeof(void *));

        if (prepared == NULL)
            abort();
        link->prepared = prepared;
        link->prepared_cap = cap;
    }
    link->prepared[link->prepared_count++] = statement;
}

static bool was_sent(const struct link *link, const struct pg_statement *statement)
{
    for (int i = 0; i < link->command_count; i++) {
        if (link->commands[i].statement == statement && link->commands[i].step < 0)
            return true;
    }
    return false;
}

static bool send_plain(struct link *link, const char *sql)
{
    push(link, NULL, -1);
    return PQsendQueryParams(link->conn, sql, 0, NULL, NULL, NULL, NULL, BINARY) == 1;
}

static bool send_step(struct link *link, const struct pg_step *step, int index)
{
    const struct pg_statement *statement = step->statement;
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX];
    int formats[PARAMS_MAX];
    Oid types[PARAMS_MAX];

    assert(step->param_count <= PARAMS_MAX);
    for (int i = 0; i < step->param_count; i++) {
        values[i] = pg_param_bytes(&step->params[i]);
        lengths[i] = (int)step->params[i].len;
        formats[i] = BINARY;
        types[i] = step->params[i].type;
    }
    if (!is_prepared(link, statement) && !was_sent(link, statement)) {
        push(link, statement, -1);
        if (PQsendPrepare(link->conn, statement->name, statement->sql, step->param_count, types) !=
            1)
            return false;
    }
    push(link, statement, index);
    return PQsendQueryPrepared(link->conn, statement->name, step->param_count, values, lengths,
                               formats, BINARY) == 1;
}

bool exchange_send(struct link *link, const struct job *job)
{
    link->command_count = 0;
    link->command_at = 0;
    if (job->mode == PG_WRITE && !send_plain(link, "BEGIN"))
        return false;
    if (job->mode == PG_SNAPSHOT &&
        !send_plain(link, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return false;
    for (int i = 0; i < job->count; i++) {
        if (!send_step(link, &job->steps[i], i))
            return false;
    }
    if (job->mode != PG_SINGLE && !send_plain(link, "COMMIT"))
        return false;
    return PQpipelineSync(link->conn) == 1;
}

bool exchange_send_rollback(struct link *link)
{
    link->command_count = 0;
    link->command_at = 0;
    return send_plain(link, "ROLLBACK") && PQpipelineSync(link->conn) == 1;
}

static enum rc rc_of_sqlstate(const char *state)
{
    // The first match counts, so longer ones stand first.
    static const struct {
        const char *prefix;
        enum rc rc;
    } table[] = {
        {"57014", RC_TIMEOUT    }, // query_canceled: statement_timeout
        {"55P03", RC_CONFLICT   }, // lock_not_available
        {"25006", RC_UNAVAILABLE}, // read_only_sql_transaction: a standby, or no longer the primary
        {"08",    RC_UNAVAILABLE}, // connection
        {"53",    RC_UNAVAILABLE}, // disk or memory full, too many connections
        {"57",    RC_UNAVAILABLE}, // shutting down, starting up
        {"58",    RC_UNAVAILABLE}, // input or output failed
        {"40",    RC_CONFLICT   }, // serialization, deadlock
        {"23",    RC_CONFLICT   }, // a constraint
        {"42P01", RC_UNAVAILABLE}, // undefined_table: the migrations are still to come
        {"54",    RC_TOO_LARGE  }, // beyond a limit of the server
        {"22",    RC_INVALID    }, // a value that its type does not have
        {"P0",    RC_REFUSED    }, // raised by one of our functions
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].rc;
    }
    return RC_INTERNAL;
}

enum rc exchange_error(const PGresult *result, const char *what)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    enum rc rc = RC_UNAVAILABLE; // libpq made the result itself: the connection broke

    if (state != NULL)
        rc = rc_of_sqlstate(state);
    // Not the detail field: it quotes values.
    log_warn("pg.error", "statement=%s sqlstate=%s message=\"%s\"", what,
             state != NULL ? state : "none",
             message != NULL ? message : PQresultErrorMessage(result));
    return rc;
}

// After these the session is not what we took it for: the server may be leaving, or a migration has
// changed what was prepared.
static bool is_stale(const PGresult *result)
{
    static const char *const states[] = {"25006", "26000", "42P05", "0A000",
                                         "57P01", "57P02", "57P03", "25P02"};
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state == NULL)
        return true;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(state, states[i]) == 0)
            return true;
    }
    return false;
}

// Takes the result of the command that is next. False: give the connection up.
static bool take(struct link *link, struct job *job, PGresult *result)
{
    const struct command *command = &link->commands[link->command_at]; // job is NULL for a rollback
    ExecStatusType status = PQresultStatus(result);
    bool usable = true;

    assert(link->command_at < link->command_count);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
        const struct pg_statement *statement = command->statement;
        enum rc rc = exchange_error(result, statement != NULL ? statement->name : "transaction");

        usable = !is_stale(result);
        if (job != NULL && job->rc == RC_OK)
            job->rc = rc;
    } else if (status != PGRES_PIPELINE_ABORTED && command->statement != NULL) {
        if (command->step < 0) {
            remember_prepared(link, command->statement);
            PQclear(result);
            return true;
        }
        job->results[command->step] = result;
        return true;
    }
    PQclear(result);
    return usable;
}

enum exchange_event exchange_read(struct link *link, struct job *job)
{
    bool usable = true;

    while (PQisBusy(link->conn) == 0) {
        PGresult *result = PQgetResult(link->conn);

        if (result == NULL) {
            // Ends the results of one command. Beyond the last there is only the sync.
            if (link->command_at == link->command_count)
                return EXCHANGE_BROKEN;
            link->command_at++;
        } else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return usable ? EXCHANGE_DONE : EXCHANGE_BROKEN;
        } else if (link->command_at == link->command_count) {
            (void)exchange_error(result, "sync");
            PQclear(result);
            return EXCHANGE_BROKEN;
        } else if (!take(link, job, result)) {
            usable = false;
            // The server said goodbye: no sync will come.
            if (PQstatus(link->conn) == CONNECTION_BAD)
                return EXCHANGE_BROKEN;
        }
    }
    return PQstatus(link->conn) == CONNECTION_BAD ? EXCHANGE_BROKEN : EXCHANGE_PENDING;
}
