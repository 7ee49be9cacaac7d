// expiry: ends packets that are too old, and lets finished ones leave the stream.
//   follows  the stream of packets, for their age; the bucket HR_TENANTS
//   writes   hr.v1.packet.<shard>.<tenant>.<packet_id>, one conditional append per packet
//   deletes  the records that an archived packet's stub stands for
//   asks     audit.wait: nothing leaves the stream that Postgres does not have
//   any number of copies may run, and any of them may be killed at any moment

#include "broker/nats/subjects.h"
#include "broker/rail/bucket.h"
#include "broker/rail/feed.h"
#include "broker/rail/timers.h"
#include "broker/run/worker.h"
#include "workers/expiry/projected.h"
#include "workers/expiry/sweep.h"

#define SWEPT_AGAIN_US (3600 * US_PER_SECOND) // longer than a worker takes to come back

struct app {
    int64_t ttl_seconds;
    int64_t retention_seconds;
    struct run *run;
    struct bucket *tenants;
    struct projected *projected;
    struct timers *timers;
    struct sweep *sweep;
    struct feed *feed;
};

static const struct cfg_key keys[] = {
    CFG_I64(struct app, ttl_seconds, "HR_PACKET_TTL_SECONDS", "86400", 0, 3153600000,
            "an unfinished packet this old expires, unless a lease or a checkpoint runs longer; 0: "
            "never; a tenant may have its own"),
    CFG_I64(struct app, retention_seconds, "HR_RETENTION_SECONDS", "604800", 0, 3153600000,
            "a finished packet leaves the stream after so long and is then read from Postgres; 0: "
            "never; a tenant may have its own"),
    CFG_END,
};

static void limits(void *ctx, const char *tenant, struct due_spec *spec)
{
    const struct app *app = ctx;
    const Hr__Tenant *own = (const Hr__Tenant *)bucket_find(app->tenants, tenant);
    int64_t ttl =
        own != NULL && own->has_packet_ttl_seconds ? own->packet_ttl_seconds : app->ttl_seconds;
    int64_t retention =
        own != NULL && own->has_retention_seconds ? own->retention_seconds : app->retention_seconds;

    spec->ttl_us = ttl * US_PER_SECOND;
    spec->retention_us = retention * US_PER_SECOND;
}

static bool may_fire(void *ctx, uint64_t sequence)
{
    struct app *app = ctx;

    return projected_has(app->projected, sequence);
}

static void on_packet(void *ctx, const char *tenant, const char *packet_id,
                      const struct stored *stored)
{
    struct app *app = ctx;
    const Hr__Packet *packet = stored->record->packet;

    timers_note(app->timers, tenant, packet_id, stored);
    // An older one was swept long ago.
    if (packet->archived_at != NULL &&
        timestamp_now_us() - wire_timestamp_us(packet->archived_at) < SWEPT_AGAIN_US)
        sweep_packet(app->sweep, tenant, packet_id, stored->sequence);
}

// The stream has lost its end: what is heard next of a packet counts, also if it is older.
static void on_reset(void *ctx)
{
    struct app *app = ctx;

    timers_reset(app->timers);
}

static void open_feed(struct app *app)
{
    app->feed = feed_open(
        app->run, &(struct feed_config){.on_packet = on_packet, .on_reset = on_reset, .ctx = app});
}

// Every deadline of a tenant's packets is another one now, and only the stream knows them all.
static void on_tenant(void *ctx, const char *tenant, const ProtobufCMessage *settings)
{
    struct app *app = ctx;

    (void)tenant;
    (void)settings;
    if (app->feed == NULL || !bucket_is_current(app->tenants))
        return;
    feed_close(app->feed);
    open_feed(app);
}

static bool is_ready(void *ctx, const char **reason)
{
    struct app *app = ctx;

    *reason = "reading the stream";
    return app->feed != NULL && feed_is_current(app->feed);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->run = run;
    app->projected = projected_open(run);
    app->sweep = sweep_open(run);
    app->timers = timers_open(run, &(struct timers_config){.kinds = DUE_TTL | DUE_ARCHIVE,
                                                           .limits = limits,
                                                           .may_fire = may_fire,
                                                           .ctx = app});
    app->tenants = bucket_open(run, &(struct bucket_config){.stream = STREAM_TENANTS,
                                                            .subject = SUBJECT_TENANTS,
                                                            .descriptor = &hr__tenant__descriptor,
                                                            .on_change = on_tenant,
                                                            .ctx = app});
    open_feed(app);
    return RC_OK;
}

static void on_drain(void *ctx)
{
    struct app *app = ctx;

    timers_drain(app->timers);
    sweep_drain(app->sweep);
}

static size_t on_in_hand(void *ctx)
{
    struct app *app = ctx;

    return timers_in_hand(app->timers) + sweep_in_hand(app->sweep);
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    feed_close(app->feed);
    bucket_close(app->tenants);
    timers_close(app->timers);
    sweep_close(app->sweep);
    projected_close(app->projected);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "expiry",
        .summary = "ends packets that are too old, and lets finished ones leave the stream",
        .keys = keys,
        .open = on_open,
        .ready = is_ready,
        .drain = on_drain,
        .in_hand = on_in_hand,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
