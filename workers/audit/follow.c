// The states of a follower, from the bottom up. Each step is taken when the one before has
// succeeded; whatever goes wrong starts again at the step that can put it right.
//
//   AWAY        no connection to Postgres; leaves it when one is up
//   MIGRATING   brings the schema up to date, on a thread of its own
//   LOCKING     takes the shard, or stands by while another process has it
//   LOADING     reads the place
//   CHECKING    asks whether the stream is still the same, and begins a new epoch if not
//   FOLLOWING   batches flow, and now and then the check is made beside them; back to CHECKING when
//               the stream is another one, and after each loss of the consumer
//
// Batches make themselves: while one is being written the next piles up, so a quiet stream is
// written record by record. A busy one is given LINGER_MS between two transactions: fewer, larger
// ones cost Postgres a third less, also because a packet that changes several times in between is
// written to the read side once. The consumer's window bounds the pile, and
// is opened again only by a commit: nothing is released that Postgres does not have.
#include "workers/audit/follow.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/nats/consume.h"
#include "broker/nats/subjects.h"
#include "broker/run/run.h"
#include "broker/sql/migrate.h"
#include "workers/audit/announce.h"
#include "workers/audit/origin.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW 2000                // messages: also the largest batch
#define BATCH_BYTES_MAX (8u << 20) // of records in one transaction, unless one alone is larger
#define BUSY_BATCH 48              // records; a batch of so many says that the stream is busy
#define LINGER_MS 60
#define AGAIN_MS 1000 // pause before a step is tried again
#define MIGRATE_PATIENCE_MS 5000
#define WRITE_TIMEOUT_MS 30000
#define ARENA_BYTES (1 << 20)

enum follow_state { AWAY, MIGRATING, LOCKING, LOADING, CHECKING, FOLLOWING };

// Records that wait for, or are part of, a transaction.
struct pile {
    struct arena *arena;
    struct projection_item items[WINDOW];
    size_t count;
    size_t at; // the first that is not committed
};

struct follower {
    struct run *run;
    const char *postgres_url;
    struct pg *pg;
    struct projection *projection;
    struct announcer *announcer;
    struct origin_check *check; // under way, or NULL
    struct consumer *consumer;  // NULL unless FOLLOWING
    struct consumer_config config;
    char stream[STREAM_BYTES];
    char filter[SUBJECT_BYTES];
    unsigned shard;
    uint64_t check_ms; // between two checks
    uv_timer_t timer;  // the next try, or the next check
    uv_timer_t heads;  // the next round of signed heads
    uv_timer_t linger; // runs while the pile is left to grow
    uv_work_t migration;
    enum rc migration_rc;
    bool migrated;
    bool migrating; // the thread pool holds migration
    bool writing;
    bool stand_by; // another process has the shard
    bool closing;
    int open_timers;
    enum follow_state state;
    size_t written; // items in the transaction under way
    struct pile *filling;
    struct pile *draining;
    struct pile piles[2];
    struct metric *stored;
    struct metric *pending;
};

static void step(struct follower *follower, enum follow_state state);
static void write_next(struct follower *follower);
static void on_linger(uv_timer_t *linger);

static void pile_reset(struct pile *pile)
{
    arena_reset(pile->arena);
    pile->count = 0;
    pile->at = 0;
}

// Stops the flow. What was not committed comes again.
static void halt(struct follower *follower)
{
    consumer_close(follower->consumer);
    follower->consumer = NULL;
    origin_forget(&follower->check);
    uv_timer_stop(&follower->timer);
    uv_timer_stop(&follower->linger);
    pile_reset(&follower->piles[0]);
    pile_reset(&follower->piles[1]);
}

// The next try, or what follows the loss of the consumer.
static void on_timer(uv_timer_t *timer)
{
    struct follower *follower = timer->data;

    // A check in the middle of a write would look at a place that moves.
    if (follower->writing)
        uv_timer_start(timer, on_timer, AGAIN_MS, 0);
    else
        step(follower, follower->state == FOLLOWING ? CHECKING : follower->state);
}

// Tries the step again after a pause.
static void again(struct follower *follower, enum follow_state state)
{
    if (follower->closing || follower->state == AWAY)
        return;
    halt(follower);
    follower->state = state;
    uv_timer_start(&follower->timer, on_timer, AGAIN_MS, 0);
}

// --- MIGRATING -----------------------------------------------------------------------------------

static void migrate(uv_work_t *work)
{
    struct follower *follower = work->data;

    follower->migration_rc = migrate_apply(follower->postgres_url, sql_files, MIGRATE_PATIENCE_MS);
}

static void release(struct follower *follower)
{
    if (follower->open_timers > 0 || follower->migrating)
        return;
    arena_destroy(follower->piles[0].arena);
    arena_destroy(follower->piles[1].arena);
    free(follower);
}

static void on_migrated(uv_work_t *work, int status)
{
    struct follower *follower = work->data;
    enum rc rc = status == 0 ? follower->migration_rc : RC_CLOSED;

    follower->migrating = false;
    if (follower->closing) {
        release(follower);
        return;
    }
    follower->migrated = rc == RC_OK;
    if (rc == RC_CONFIG)
        run_give_up(follower->run, rc); // another content under a known number: for a human
    else if (follower->state == MIGRATING && rc == RC_OK)
        step(follower, LOCKING);
    else
        again(follower, MIGRATING);
}

static void start_migration(struct follower *follower)
{
    if (follower->migrated) {
        step(follower, LOCKING);
        return;
    }
    if (follower->migrating)
        return; // the last one is still under way; it will do
    follower->migration.data = follower;
    follower->migrating = true;
    if (uv_queue_work(run_loop(follower->run), &follower->migration, migrate, on_migrated) != 0) {
        follower->migrating = false;
        again(follower, MIGRATING);
    }
}

// --- LOCKING, LOADING ----------------------------------------------------------------------------

static void on_locked(void *ctx, enum rc rc)
{
    struct follower *follower = ctx;

    if (follower->closing || follower->state != LOCKING)
        return;
    if (rc == RC_CONFLICT && !follower->stand_by)
        log_info("audit.stand_by", "shard=%u", follower->shard);
    follower->stand_by = rc == RC_CONFLICT;
    if (rc == RC_OK)
        step(follower, LOADING);
    else
        again(follower, LOCKING);
}

static void on_loaded(void *ctx, enum rc rc)
{
    struct follower *follower = ctx;

    if (follower->closing || follower->state != LOADING)
        return;
    if (rc != RC_OK) {
        again(follower, LOADING);
        return;
    }
    log_info("audit.place", "shard=%u epoch=%" PRId32 " last_seq=%" PRIu64, follower->shard,
             projection_place(follower->projection)->epoch,
             projection_place(follower->projection)->last_seq);
    step(follower, CHECKING);
}

// --- CHECKING ------------------------------------------------------------------------------------

static void on_epoch(void *ctx, enum rc rc)
{
    struct follower *follower = ctx;

    if (follower->closing || follower->state != CHECKING)
        return;
    if (rc == RC_OK)
        step(follower, FOLLOWING);
    else
        again(follower, LOADING);
}

static void on_checked(void *ctx, enum rc rc, const struct origin_verdict *verdict)
{
    struct follower *follower = ctx;

    if (rc == RC_OK && verdict->same) {
        step(follower, FOLLOWING);
        return;
    }
    if (rc == RC_OK)
        rc = projection_begin_epoch(follower->projection, verdict->stream_created_us,
                                    verdict->fork_seq, verdict->reason, on_epoch, follower);
    if (rc != RC_OK)
        again(follower, CHECKING);
}

// --- FOLLOWING -----------------------------------------------------------------------------------

static void on_written(void *ctx, enum rc rc)
{
    struct follower *follower = ctx;
    struct pile *pile = follower->draining;

    follower->writing = false;
    if (follower->closing || follower->state != FOLLOWING)
        return;
    if (rc != RC_OK) {
        log_warn("audit.write_failed", "shard=%u reason=\"%s\"", follower->shard, rc_text(rc));
        again(follower, LOADING);
        return;
    }
    metric_add(follower->stored, "", (double)follower->written);
    pile->at += follower->written;
    consumer_release(follower->consumer, (uint32_t)follower->written);
    if (follower->state != FOLLOWING)
        return;
    if (follower->written >= BUSY_BATCH)
        uv_timer_start(&follower->linger, on_linger, LINGER_MS, 0);
    write_next(follower);
}

static void on_linger(uv_timer_t *linger)
{
    write_next(linger->data);
}

// Room for half a window is kept, so that the stream flows on while a full pile is written.
static bool is_lingering(const struct follower *follower)
{
    size_t waiting = follower->filling->count + follower->draining->count - follower->draining->at;

    return uv_is_active((const uv_handle_t *)&follower->linger) && waiting < WINDOW / 2;
}

// Records that are back in the stream: those that the log has must not be in it twice.
static bool has_restored(const struct pile *pile, size_t end)
{
    for (size_t i = pile->at; i < end; i++) {
        if (pile->items[i].restored)
            return true;
    }
    return false;
}

static void on_known(void *ctx, enum rc rc, const bool *known)
{
    struct follower *follower = ctx;
    struct pile *pile = follower->draining;

    follower->writing = false;
    if (follower->closing || follower->state != FOLLOWING)
        return;
    if (rc != RC_OK) {
        again(follower, LOADING);
        return;
    }
    for (size_t i = 0; i < follower->written; i++) {
        struct projection_item *item = &pile->items[pile->at + i];

        item->known = item->restored && known[i];
        item->restored = false;
    }
    write_next(follower);
}

static void write_next(struct follower *follower)
{
    struct pile *pile = follower->draining;
    size_t bytes = 0;
    size_t end;
    enum rc rc;

    if (follower->writing || is_lingering(follower))
        return;
    if (pile->at == pile->count) {
        follower->draining = follower->filling;
        follower->filling = pile;
        pile_reset(pile);
        pile = follower->draining;
    }
    for (end = pile->at; end < pile->count; end++) {
        bytes += pile->items[end].data.len;
        if (bytes > BATCH_BYTES_MAX && end > pile->at)
            break;
    }
    if (end == pile->at)
        return;
    follower->written = end - pile->at;
    if (has_restored(pile, end))
        rc = projection_known(follower->projection, pile->items + pile->at, follower->written,
                              on_known, follower);
    else
        rc = projection_write(follower->projection, pile->items + pile->at, follower->written,
                              on_written, follower);
    if (rc == RC_OK)
        follower->writing = true;
    else if (follower->state == FOLLOWING)
        again(follower, LOADING);
}

// hr.v1.packet.<shard>.<tenant>.<packet_id>
static Text tenant_of(struct arena *arena, const char *subject)
{
    const char *at = subject;

    for (int dots = 0; dots < 4 && at != NULL; dots++) {
        at = strchr(at, '.');
        if (at != NULL)
            at++;
    }
    return at != NULL ? text_copy(arena, at, strcspn(at, ".")) : text_of("");
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct follower *follower = ctx;
    struct pile *pile = follower->filling;
    struct projection_item *item = &pile->items[pile->count];
    ProtobufCMessage *message;

    assert(pile->count < WINDOW); // the consumer's window
    item->sequence = delivery->sequence;
    item->tenant = tenant_of(pile->arena, msg_subject(msg));
    item->data = text_copy(pile->arena, msg_data(msg), msg_len(msg));
    item->record = NULL;
    item->restored = msg_header(msg, HEADER_RESTORED) != NULL;
    item->known = false;
    if (wire_unpack(&message, pile->arena, &hr__packet_record__descriptor, item->data.data,
                    item->data.len) == RC_OK)
        item->record = (Hr__PacketRecord *)message;
    else
        log_error("audit.unreadable", "sequence=%" PRIu64 " subject=%s", delivery->sequence,
                  msg_subject(msg));
    pile->count++;
    metric_set(follower->pending, "", (double)delivery->pending);
    write_next(follower);
}

static void on_current(void *ctx, bool current)
{
    struct follower *follower = ctx;

    // Lost: after a restart of NATS the stream may be another. The consumer is still in use up the
    // stack, so the check waits for the timer.
    if (!current && !follower->closing && follower->state == FOLLOWING) {
        origin_forget(&follower->check); // it would set the timer
        uv_timer_start(&follower->timer, on_timer, 0, 0);
    }
}

// The consumer has found out by itself that the stream lost its end: nothing of what comes now may
// be written into the old epoch.
static void on_rewound(void *ctx, uint64_t place)
{
    struct follower *follower = ctx;

    log_warn("audit.rewound", "shard=%u place=%" PRIu64, follower->shard, place);
    again(follower, CHECKING);
}

static void on_look(uv_timer_t *timer);

static void on_looked(void *ctx, enum rc rc, const struct origin_verdict *verdict)
{
    struct follower *follower = ctx;

    if (rc == RC_OK && !verdict->same)
        again(follower, CHECKING);
    else
        uv_timer_start(&follower->timer, on_look, follower->check_ms, 0);
}

static void on_look(uv_timer_t *timer)
{
    struct follower *follower = timer->data;

    origin_look(&follower->check, run_requests(follower->run), run_name(follower->run),
                follower->stream, follower->projection, on_looked, follower);
}

static void start_following(struct follower *follower)
{
    follower->config.start_after = projection_place(follower->projection)->last_seq;
    follower->consumer = consumer_open(run_requests(follower->run), run_conn(follower->run),
                                       run_loop(follower->run), &follower->config);
    uv_timer_start(&follower->timer, on_look, follower->check_ms, 0);
}

// --- all -----------------------------------------------------------------------------------------

static void step(struct follower *follower, enum follow_state state)
{
    enum rc rc = RC_OK;

    if (follower->closing)
        return;
    if (state <= CHECKING)
        halt(follower);
    follower->state = state;
    switch (state) {
    case AWAY:
        return;
    case MIGRATING:
        start_migration(follower);
        return;
    case LOCKING:
        rc = projection_lock(follower->projection, on_locked, follower);
        break;
    case LOADING:
        rc = projection_load(follower->projection, on_loaded, follower);
        break;
    case CHECKING:
        origin_begin(&follower->check, run_requests(follower->run), run_name(follower->run),
                     follower->stream, follower->projection, on_checked, follower);
        return;
    case FOLLOWING:
        start_following(follower);
        return;
    }
    if (rc != RC_OK)
        again(follower, state);
}

static void on_pg_state(void *ctx, bool up)
{
    step(ctx, up ? MIGRATING : AWAY);
}

// --- heads ---------------------------------------------------------------------------------------

// Only one process has the shard, and that one tells.
static void tell_heads(struct follower *follower)
{
    if (!follower->closing && follower->state == FOLLOWING)
        announce_heads(follower->announcer);
}

static void on_heads(uv_timer_t *timer)
{
    tell_heads(timer->data);
}

void follow_drain(struct follower *follower)
{
    tell_heads(follower);
}

bool follow_is_busy(const struct follower *follower)
{
    return announce_is_busy(follower->announcer);
}

// --- opening and closing -------------------------------------------------------------------------

static void open_timers(struct follower *follower, int64_t heads_seconds)
{
    uv_loop_t *loop = run_loop(follower->run);
    uv_timer_t *timers[] = {&follower->timer, &follower->linger, &follower->heads};
    uint64_t heads_ms = (uint64_t)heads_seconds * 1000;

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        uv_timer_init(loop, timers[i]);
        timers[i]->data = follower;
        follower->open_timers++;
    }
    uv_timer_start(&follower->heads, on_heads, heads_ms, heads_ms);
}

static void open_parts(struct follower *follower, const struct follow_config *config)
{
    const struct announce_config announce = {
        .run = config->run,
        .pg = follower->pg,
        .ring = config->ring,
        .shard = config->shard,
        .file = config->heads_file,
    };

    follower->projection = projection_create(follower->pg, (int32_t)config->shard, config->ring);
    follower->announcer = announce_create(&announce);
    follower->piles[0].arena = arena_create(ARENA_BYTES);
    follower->piles[1].arena = arena_create(ARENA_BYTES);
    follower->filling = &follower->piles[0];
    follower->draining = &follower->piles[1];
    subject_stream(follower->stream, config->shard);
    subject_packets(follower->filter, config->shard);
    follower->config = (struct consumer_config){
        .inbox = run_name(config->run),
        .stream = follower->stream,
        .filter = follower->filter,
        .durable = "audit",
        .from = CONSUME_AFTER,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .on_rewound = on_rewound,
        .ctx = follower,
    };
    follower->stored = metric_create(METRIC_COUNTER, "handoffrail_audit_records_total",
                                     "Records stored in Postgres", "", NULL, 0);
    follower->pending =
        metric_create(METRIC_GAUGE, "handoffrail_audit_pending",
                      "Records of the stream that are still to be stored", "", NULL, 0);
}

enum rc follow_open(struct follower **out, const struct follow_config *config)
{
    struct follower *follower = calloc(1, sizeof *follower);
    struct pg_options options = {
        .conninfo = config->postgres_url,
        .application = run_name(config->run),
        .session = PROJECTION_SESSION,
        .connections = 1,
        .timeout_ms = WRITE_TIMEOUT_MS,
        .on_state = on_pg_state,
        .ctx = follower,
    };
    enum rc rc;

    if (follower == NULL)
        abort();
    rc = pg_open(&follower->pg, run_loop(config->run), &options);
    if (rc != RC_OK) {
        free(follower);
        return rc;
    }
    follower->run = config->run;
    follower->postgres_url = config->postgres_url;
    follower->shard = config->shard;
    follower->check_ms = (uint64_t)config->check_seconds * 1000;
    open_parts(follower, config);
    open_timers(follower, config->heads_seconds);
    *out = follower;
    return RC_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct follower *follower = handle->data;

    follower->open_timers--;
    release(follower);
}

void follow_close(struct follower *follower)
{
    if (follower == NULL)
        return;
    halt(follower);
    follower->closing = true;
    pg_close(follower->pg, NULL, NULL);
    projection_destroy(follower->projection);
    announce_destroy(follower->announcer);
    if (follower->migrating)
        (void)uv_cancel((uv_req_t *)&follower->migration); // either way on_migrated is called
    uv_close((uv_handle_t *)&follower->timer, on_timer_closed);
    uv_close((uv_handle_t *)&follower->linger, on_timer_closed);
    uv_close((uv_handle_t *)&follower->heads, on_timer_closed);
}

bool follow_is_ready(const struct follower *follower, const char **reason)
{
    if (follower->state == FOLLOWING || (follower->state == LOCKING && follower->stand_by))
        return true;
    *reason = follower->state == AWAY ? "not connected to Postgres" : "finding its place";
    return false;
}
