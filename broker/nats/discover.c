// Service discovery.
#include "broker/nats/discover.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/message/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_PREFIX "io.nats.micro.v1."
#define SUBJECTS 9

struct discover {
    struct conn *conn;
    const char *name;
    const char *help;
    char id[UUID_TEXT_BYTES];
    char started[TIMESTAMP_TEXT_BYTES];
    struct subscription *subs[SUBJECTS];
    size_t sub_count;
};

static void put(struct json_writer *writer, const char *key, const char *value)
{
    json_key(writer, key);
    json_string(writer, value);
}

static void put_extra(struct json_writer *writer, const struct discover *discover, const char *verb)
{
    if (strcmp(verb, "INFO") == 0) {
        put(writer, "description", discover->help);
        json_key(writer, "endpoints");
        json_array_open(writer);
        json_array_close(writer);
    } else if (strcmp(verb, "STATS") == 0) {
        put(writer, "started", discover->started);
        json_key(writer, "endpoints");
        json_array_open(writer);
        json_array_close(writer);
    }
}

// The verb of $SRV.<verb>[.<name>[.<id>]], as the answer's type spells it.
static const char *answer_type(const char *subject, const char **verb)
{
    static const struct {
        const char *verb;
        const char *type;
    } table[] = {
        {"PING",  TYPE_PREFIX "ping_response" },
        {"INFO",  TYPE_PREFIX "info_response" },
        {"STATS", TYPE_PREFIX "stats_response"}
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t len = strlen(table[i].verb);

        if (strncmp(subject + 5, table[i].verb, len) == 0) {
            *verb = table[i].verb;
            return table[i].type;
        }
    }
    return NULL;
}

static void on_question(void *ctx, struct msg *msg)
{
    struct discover *discover = ctx;
    const char *reply = msg != NULL ? msg_reply(msg) : NULL;
    struct buf out = {0};
    struct json_writer *writer;
    const char *verb;
    const char *type = msg != NULL ? answer_type(msg_subject(msg), &verb) : NULL;

    // As for commands: an answer goes into an inbox or nowhere.
    if (type == NULL || reply == NULL || strncmp(reply, "_INBOX.", 7) != 0)
        return;
    writer = json_writer_create(&out);
    json_object_open(writer);
    put(writer, "type", type);
    put(writer, "name", discover->name);
    put(writer, "id", discover->id);
    put(writer, "version", HR_VERSION);
    json_key(writer, "metadata");
    json_object_open(writer);
    json_object_close(writer);
    put_extra(writer, discover, verb);
    json_object_close(writer);
    json_writer_destroy(writer);
    if (conn_publish(discover->conn, reply, NULL, NULL, 0, out.data, out.len) != RC_OK)
        log_debug("discover.answer_lost", "name=%s", discover->name);
    buf_fini(&out);
}

enum rc discover_open(struct discover **out, struct conn *conn, const char *name, const char *help)
{
    static const char *const verbs[] = {"PING", "INFO", "STATS"};
    struct discover *discover = calloc(1, sizeof *discover);
    struct uuid id = uuid_new();
    enum rc rc = RC_OK;

    if (discover == NULL)
        abort();
    discover->conn = conn;
    discover->name = name;
    discover->help = help;
    uuid_format(discover->id, &id);
    timestamp_format(discover->started, timestamp_now_us());
    for (size_t i = 0; i < SUBJECTS && rc == RC_OK; i++) {
        char subject[160];
        const char *verb = verbs[i / 3];

        if (i % 3 == 0)
            (void)snprintf(subject, sizeof subject, "$SRV.%s", verb);
        else if (i % 3 == 1)
            (void)snprintf(subject, sizeof subject, "$SRV.%s.%s", verb, name);
        else
            (void)snprintf(subject, sizeof subject, "$SRV.%s.%s.%s", verb, name, discover->id);
        rc = conn_subscribe(&discover->subs[i], conn, subject, NULL, on_question, discover);
        if (rc == RC_OK)
            discover->sub_count++;
    }
    if (rc != RC_OK) {
        discover_close(discover);
        return rc;
    }
    *out = discover;
    return RC_OK;
}

void discover_close(struct discover *discover)
{
    if (discover == NULL)
        return;
    for (size_t i = 0; i < discover->sub_count; i++)
        conn_unsubscribe(discover->subs[i]);
    free(discover);
}
