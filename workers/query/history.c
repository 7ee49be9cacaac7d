// One statement, whose rows become events.
#include "workers/query/history.h"

#include "workers/query/event_row.h"

#include <string.h>

// Edits are left out unless asked for, so that the history of a life cycle has one row per step.
static const struct pg_statement events_statement = {
    "history_events",
    "SELECT " EVENT_ROW_COLUMNS " FROM packet_events"
    " WHERE tenant = $1 AND packet_id = $2 AND ($3 OR type NOT IN ('updated', 'heartbeat'))"
    " ORDER BY epoch, seq, part",
};

static const struct pg_statement exists_statement = {
    "history_exists",
    "SELECT 1 FROM packets WHERE tenant = $1 AND id = $2",
};

struct history {
    struct arena *arena;
    Hr__History *answer;
    query_done done;
    void *ctx;
};

static Hr__HistoryEvent *read_event(struct arena *arena, const struct pg_result *rows, int row)
{
    Hr__HistoryEvent *event = wire_new(arena, &hr__history_event__descriptor);
    struct event_row from;

    event_row_read(&from, arena, rows, row);
    event->has_id = 1;
    event->id = from.id;
    event->has_packet_id = 1;
    event->packet_id = from.packet_id;
    event->has_event_type = 1;
    event->event_type = from.type;
    event->has_actor = 1;
    event->actor = from.actor;
    event->details = wire_json(arena, from.details);
    event->timestamp = wire_timestamp(arena, from.at_us);
    event->has_key_id = 1;
    event->key_id = from.key_id;
    event->has_sequence = 1;
    event->sequence = from.sequence;
    return event;
}

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct history *history = ctx;
    Hr__History *answer = history->answer;

    if (rc == RC_OK) {
        int count = pg_rows(results[0]);

        if (count == 0 && pg_rows(results[1]) == 0)
            rc = RC_NOT_FOUND;
        answer->events = arena_calloc(history->arena, (size_t)count, sizeof(void *));
        for (int row = 0; row < count; row++)
            answer->events[answer->n_events++] = read_event(history->arena, results[0], row);
    }
    history->done(history->ctx, rc, rc == RC_OK ? &answer->base : NULL);
}

enum rc history_get(struct pg *pg, const char *tenant, const Hr__GetHistory *request,
                    struct arena *arena, query_done done, void *ctx)
{
    struct history *history = arena_alloc(arena, sizeof *history);
    char *id_text = arena_alloc(arena, UUID_TEXT_BYTES);
    struct pg_param params[3];
    struct uuid id;

    if (uuid_parse((const char *)request->packet_id.data, request->packet_id.len, &id) != NULL)
        return RC_INVALID;
    uuid_format(id_text, &id);
    *history = (struct history){arena, wire_new(arena, &hr__history__descriptor), done, ctx};
    history->answer->has_packet_id = 1;
    history->answer->packet_id = text_of(id_text);
    params[0] = pg_text(tenant, strlen(tenant));
    params[1] = pg_uuid(&id);
    params[2] = pg_bool(request->has_all && request->all);

    const struct pg_step steps[] = {
        {&events_statement, params, 3},
        {&exists_statement, params, 2}
    };

    return pg_run(pg, PG_SNAPSHOT, steps, 2, on_rows, history);
}
