// A page of packets at a time: all of a page are compared with the stream at once, and the next
// page is read when the last of them is done.
//
//   the stream has nothing           the version is appended as the packet's first
//   it has the same event, or one    nothing is to do; the projection will follow a newer one
//   that Postgres does not know
//   it has an earlier one            the tail was lost: the version is appended behind it
#include "clients/cli/restore/restore.h"

#include "broker/base/log.h"
#include "broker/nats/topology.h"
#include "broker/rail/store.h"
#include "broker/sql/pg.h"

#include <stdlib.h>

#define NAME "restore"
#define PAGE_PACKETS 200
#define PAGE_BYTES (32 << 20) // of records: a page ends early behind that
#define CONNECT_MS 10000
#define QUERY_TIMEOUT_MS 120000
#define ARENA_BYTES (1 << 20)

struct restore {
    const struct restore_options *options;
    struct restore_outcome *outcome;
    struct progress *progress;
    uv_loop_t loop;
    uv_timer_t patience; // until Postgres is up
    struct pg *pg;
    struct conn *conn;
    struct requests *requests;
    struct store *store;
    struct arena *arena;   // of the page
    struct uuid packet_id; // the last one of the page before, and its tenant
    char tenant_text[TOKEN_MAX + 1];
    size_t in_work; // packets of the page
    bool started;
    bool ended;
    enum rc rc;
};

// A packet of the page; in its arena.
struct lost {
    struct restore *restore;
    char tenant[TOKEN_MAX + 1];
    char packet_id[UUID_TEXT_BYTES];
    struct uuid packet_uuid;
    struct uuid found_event; // what the stream has instead
    struct uuid event_id;
    Hr__PacketRecord *record;
    uint64_t sequence; // that it had
    uint64_t expected;
};

static const struct pg_statement count_statement = {
    "restore_count",
    "SELECT coalesce(sum(n), 0)::bigint FROM packet_counts",
};

// Of each packet the newest record; of an archived one that is its stub.
static const struct pg_statement page_statement = {
    "restore_page",
    "SELECT tenant, id, event_id, record, seq FROM ("
    "SELECT p.tenant, p.id, e.event_id, e.record, e.seq, coalesce(sum(octet_length(e.record))"
    " OVER (ORDER BY p.tenant, p.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before"
    " FROM (SELECT tenant, id FROM packets WHERE (tenant, id) > ($1, $2)"
    " ORDER BY tenant, id LIMIT $3) AS p,"
    " LATERAL (SELECT event_id, record, seq FROM packet_events"
    " WHERE tenant = p.tenant AND packet_id = p.id AND part = 0"
    " ORDER BY epoch DESC, seq DESC LIMIT 1) AS e) AS page WHERE before < $4 ORDER BY tenant, id",
};

static const struct pg_statement known_statement = {
    "restore_known",
    "SELECT FROM packet_events WHERE tenant = $1 AND packet_id = $2 AND event_id = $3 LIMIT 1",
};

static void end(struct restore *restore, enum rc rc)
{
    restore->ended = true;
    restore->rc = rc;
    uv_stop(&restore->loop);
}

static void next_page(struct restore *restore);

// --- one packet ----------------------------------------------------------------------------------

static void done(struct lost *lost, uint64_t *counter)
{
    struct restore *restore = lost->restore;

    (*counter)++;
    restore->progress->done++;
    progress_row(restore->progress);
    if (--restore->in_work == 0 && !restore->ended)
        next_page(restore);
}

static void failed(struct lost *lost, const char *what, enum rc rc)
{
    struct restore *restore = lost->restore;

    log_error("restore.failed", "packet_id=%s step=%s reason=\"%s\"", lost->packet_id, what,
              rc_text(rc));
    // Without a server there is no point in going on.
    if (rc == RC_UNAVAILABLE || rc == RC_TIMEOUT || rc == RC_CLOSED)
        end(restore, rc);
    done(lost, &restore->outcome->failed);
}

static void on_appended(void *ctx, enum rc rc, uint64_t sequence)
{
    struct lost *lost = ctx;

    (void)sequence;
    if (rc == RC_OK)
        done(lost, &lost->restore->outcome->restored);
    else if (rc == RC_CONFLICT) // somebody has changed it meanwhile: it is there
        done(lost, &lost->restore->outcome->there);
    else
        failed(lost, "append", rc);
}

// The claim's generation was the record's own sequence: it stays what its holder was told.
static void keep_generation(struct lost *lost)
{
    Hr__Claim *claim = lost->record->packet->claim;

    if (claim == NULL || claim->has_generation)
        return;
    claim->has_generation = true;
    claim->generation = lost->sequence;
}

static void put_back(struct lost *lost)
{
    struct restore *restore = lost->restore;
    struct append append = {
        .tenant = lost->tenant,
        .packet_id = lost->packet_id,
        .expected = lost->expected,
        .restored = true,
    };
    Text bytes;

    if (restore->options->dry_run) {
        done(lost, &restore->outcome->restored);
        return;
    }
    keep_generation(lost);
    bytes = wire_pack(restore->arena, &lost->record->base);
    append.data = bytes.data;
    append.len = bytes.len;
    store_append(restore->store, &append, on_appended, lost);
}

static void on_known(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct lost *lost = ctx;

    if (rc != RC_OK)
        failed(lost, "history", rc);
    else if (pg_rows(results[0]) > 0)
        put_back(lost);
    else
        done(lost, &lost->restore->outcome->there);
}

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct lost *lost = ctx;
    struct restore *restore = lost->restore;
    Text id;

    if (rc == RC_NOT_FOUND) {
        put_back(lost);
        return;
    }
    if (rc != RC_OK) {
        failed(lost, "load", rc);
        return;
    }
    id = stored->record->event->id;
    if (uuid_parse((const char *)id.data, id.len, &lost->found_event) != NULL ||
        memcmp(&lost->found_event, &lost->event_id, sizeof lost->event_id) == 0) {
        done(lost, &restore->outcome->there);
        return;
    }
    lost->expected = stored->sequence;
    const struct pg_param params[] = {
        pg_text(lost->tenant, strlen(lost->tenant)),
        pg_uuid(&lost->packet_uuid),
        pg_uuid(&lost->found_event),
    };
    rc = pg_query(restore->pg, &known_statement, params, 3, on_known, lost);
    if (rc != RC_OK)
        failed(lost, "history", rc);
}

// --- pages ---------------------------------------------------------------------------------------

static bool read_row(struct lost *lost, const struct pg_result *rows, int row)
{
    struct restore *restore = lost->restore;
    ProtobufCMessage *message;
    const void *data;
    size_t len;

    data = pg_get_bytes(rows, row, 0, &len);
    if (len > TOKEN_MAX)
        return false;
    memcpy(lost->tenant, data, len);
    lost->packet_uuid = pg_get_uuid(rows, row, 1);
    uuid_format(lost->packet_id, &lost->packet_uuid);
    lost->event_id = pg_get_uuid(rows, row, 2);
    lost->sequence = (uint64_t)pg_get_int(rows, row, 4);
    data = pg_get_bytes(rows, row, 3, &len);
    if (wire_unpack(&message, restore->arena, &hr__packet_record__descriptor, data, len) != RC_OK)
        return false;
    lost->record = (Hr__PacketRecord *)message;
    return lost->record->packet != NULL;
}

static void on_page(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct restore *restore = ctx;
    int count = rc == RC_OK ? pg_rows(results[0]) : 0;
    struct lost *all;

    if (restore->ended)
        return;
    if (count == 0) {
        end(restore, rc);
        return;
    }
    all = arena_calloc(restore->arena, (size_t)count, sizeof *all);
    restore->in_work = (size_t)count;
    restore->outcome->packets += (uint64_t)count;
    for (int i = 0; i < count; i++) {
        all[i].restore = restore;
        if (!read_row(&all[i], results[0], i))
            all[i].record = NULL;
    }
    memcpy(restore->tenant_text, all[count - 1].tenant, sizeof restore->tenant_text);
    restore->packet_id = all[count - 1].packet_uuid;
    for (int i = 0; i < count; i++) {
        if (all[i].record == NULL)
            failed(&all[i], "read", RC_CORRUPT);
        else
            store_load(restore->store, all[i].tenant, all[i].packet_id, restore->arena, on_loaded,
                       &all[i]);
    }
}

static void next_page(struct restore *restore)
{
    const struct pg_param params[] = {
        pg_text(restore->tenant_text, strlen(restore->tenant_text)),
        pg_uuid(&restore->packet_id),
        pg_int8(PAGE_PACKETS),
        pg_int8(PAGE_BYTES),
    };
    enum rc rc;

    arena_reset(restore->arena);
    rc = pg_query(restore->pg, &page_statement, params, 4, on_page, restore);
    if (rc != RC_OK)
        end(restore, rc);
}

// --- both servers --------------------------------------------------------------------------------

static void on_count(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct restore *restore = ctx;

    if (rc != RC_OK) {
        end(restore, rc);
        return;
    }
    restore->progress->total = (uint64_t)pg_get_int(results[0], 0, 0);
    next_page(restore);
}

static void on_topology(void *ctx, enum rc rc)
{
    struct restore *restore = ctx;

    if (rc == RC_OK)
        rc = pg_query(restore->pg, &count_statement, NULL, 0, on_count, restore);
    if (rc != RC_OK)
        end(restore, rc);
}

static void on_state(void *ctx, bool up)
{
    struct restore *restore = ctx;
    const struct topology_config config = {.inbox = NAME, .replicas = 1, .create = true};

    if (!up || restore->started)
        return;
    restore->started = true;
    uv_timer_stop(&restore->patience);
    topology_ensure(restore->requests, &restore->loop, &config, CONNECT_MS, on_topology, restore);
}

static void on_patience(uv_timer_t *timer)
{
    log_error("restore.postgres", "reason=\"cannot be reached\"");
    end(timer->data, RC_UNAVAILABLE);
}

static enum rc open_all(struct restore *restore)
{
    const struct conn_config nats = {
        .url = restore->options->nats_url, .name = NAME, .user = "", .password = ""};
    const struct pg_options postgres = {
        .conninfo = restore->options->postgres_url,
        .application = "handoffrail-restore",
        .connections = 4,
        .timeout_ms = QUERY_TIMEOUT_MS,
        .on_state = on_state,
        .ctx = restore,
    };
    enum rc rc = conn_open(&restore->conn, &restore->loop, &nats, CONNECT_MS);

    if (rc != RC_OK)
        return rc;
    restore->requests = requests_open(restore->conn, &restore->loop, NAME);
    restore->store = store_create(restore->requests, NAME);
    return pg_open(&restore->pg, &restore->loop, &postgres);
}

static void close_all(struct restore *restore)
{
    uv_close((uv_handle_t *)&restore->patience, NULL);
    if (restore->pg != NULL)
        pg_close(restore->pg, NULL, NULL);
    requests_close(restore->requests);
    store_destroy(restore->store);
    conn_close(restore->conn);
    uv_run(&restore->loop, UV_RUN_DEFAULT);
    uv_loop_close(&restore->loop);
    conn_library_close();
    arena_destroy(restore->arena);
}

enum rc restore_run(struct restore_outcome *outcome, const struct restore_options *options,
                    struct progress *progress)
{
    struct restore restore = {.options = options, .outcome = outcome, .progress = progress};
    enum rc rc;

    *outcome = (struct restore_outcome){0};
    restore.arena = arena_create(ARENA_BYTES);
    uv_loop_init(&restore.loop);
    uv_timer_init(&restore.loop, &restore.patience);
    restore.patience.data = &restore;
    uv_timer_start(&restore.patience, on_patience, CONNECT_MS, 0);
    rc = open_all(&restore);
    if (rc == RC_OK) {
        uv_run(&restore.loop, UV_RUN_DEFAULT);
        rc = restore.rc;
    }
    restore.ended = true;
    close_all(&restore);
    return rc;
}
