// audit: writes every record of the stream into Postgres, in order, exactly once.
//   takes   hr.v1.packet.<shard>.>, stream HR_PACKETS_<shard>
//           hr.v1.delivery.>, stream HR_DELIVERIES
//   writes  tables webhook_deliveries, packet_events, packets, projector, audit_chains: deploy/sql,
//   which it also applies;
//           hr.v1.audit.head.<tenant>, stream HR_AUDIT_HEADS: signed heads of the sealed log
//   promises that nothing is missing: while Postgres is away it keeps its place and catches up
//   later

#include "broker/nats/subjects.h"
#include "broker/run/worker.h"
#include "workers/audit/deliveries.h"
#include "workers/audit/follow.h"

#include <assert.h>

struct app {
    const char *postgres_url;
    const char *key_file;
    const char *heads_file;
    int64_t heads_seconds;
    int64_t check_seconds;
    int64_t deliveries_days;
    struct keyring *ring;
    struct follower *follower;
    struct deliveries *deliveries;
};

static const struct cfg_key keys[] = {
    CFG_STR(struct app, postgres_url, "HR_POSTGRES_URL", NULL, "Postgres, as libpq reads it"),
    CFG_STR(struct app, key_file, "HR_AUDIT_KEY_FILE", NULL,
            "file with the numbered keys that seal the log: a number, a blank and 32 or more "
            "characters a line; the highest number is used"),
    CFG_STR(struct app, heads_file, "HR_AUDIT_HEADS_FILE", "",
            "file that every signed head is appended to as well; keep it where who can write to "
            "Postgres cannot"),
    CFG_I64(struct app, heads_seconds, "HR_AUDIT_HEADS_SECONDS", "60", 1, 86400,
            "between two rounds of signed heads"),
    CFG_I64(struct app, check_seconds, "HR_AUDIT_CHECK_SECONDS", "60", 1, 3600,
            "between two checks that the stream still has what Postgres has"),
    CFG_I64(struct app, deliveries_days, "HR_WEBHOOK_DELIVERIES_DAYS", "30", 1, 36500,
            "that a webhook's delivery is listed after its last change, dead letters included"),
    CFG_END,
};

static bool is_ready(void *ctx, const char **reason)
{
    return follow_is_ready(((struct app *)ctx)->follower, reason);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;
    const bool has_file = *app->heads_file != '\0';
    enum rc rc = keyring_open(&app->ring, app->key_file);

    static_assert(SHARD_COUNT == 1, "one follower per shard");
    if (rc == RC_OK) {
        const struct follow_config config = {
            .run = run,
            .postgres_url = app->postgres_url,
            .ring = app->ring,
            .heads_file = has_file ? app->heads_file : NULL,
            .heads_seconds = app->heads_seconds,
            .check_seconds = app->check_seconds,
        };

        rc = follow_open(&app->follower, &config);
    }
    if (rc == RC_OK)
        rc = deliveries_open(&app->deliveries, run, app->postgres_url, app->deliveries_days);
    return rc;
}

static void on_drain(void *ctx)
{
    follow_drain(((struct app *)ctx)->follower);
}

static size_t on_in_hand(void *ctx)
{
    return follow_is_busy(((struct app *)ctx)->follower) ? 1 : 0;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    deliveries_close(app->deliveries);
    follow_close(app->follower);
    keyring_close(app->ring);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "audit",
        .summary = "writes every record of the stream into Postgres",
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
