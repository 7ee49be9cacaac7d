// The answer of the query worker is kept for FRESH_NS; those who ask while it is on its way get
// what is known.
#include "gateway/totals.h"

#include "broker/base/timestamp.h"
#include "broker/message/command_table.h"
#include "broker/message/wire.h"
#include "broker/nats/subjects.h"
#include "broker/packet/lifecycle.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#define FRESH_NS (5 * 1000000000LL)
#define PATIENCE_MS 1000
#define KEY "gateway"
#define ARENA_BYTES 1024
#define EVERYBODY "all"

struct totals {
    struct run *run;
    struct arena *arena;
    const Hr__Totals *known; // in the arena; NULL: nothing is known
    int64_t known_ns;
    bool asking;
};

struct refresh {
    struct totals *totals;
    void (*done)(void *ctx);
    void *ctx;
};

struct totals *totals_create(struct run *run)
{
    struct totals *totals = calloc(1, sizeof *totals);

    if (totals == NULL)
        abort();
    totals->run = run;
    totals->arena = arena_create(ARENA_BYTES);
    return totals;
}

void totals_destroy(struct totals *totals)
{
    if (totals == NULL)
        return;
    arena_destroy(totals->arena);
    free(totals);
}

static void on_totals(void *ctx, enum rc rc, struct msg *msg)
{
    struct refresh *refresh = ctx;
    struct totals *totals = refresh->totals;
    ProtobufCMessage *message;

    arena_reset(totals->arena);
    totals->known = NULL;
    totals->asking = false;
    if (rc == RC_OK && msg_header(msg, HEADER_ERROR_CODE) == NULL &&
        wire_unpack(&message, totals->arena, &hr__totals__descriptor, msg_data(msg),
                    msg_len(msg)) == RC_OK) {
        totals->known = (const Hr__Totals *)message;
        totals->known_ns = clock_now_ns();
    }
    refresh->done(refresh->ctx);
    free(refresh);
}

void totals_refresh(struct totals *totals, void (*done)(void *ctx), void *ctx)
{
    const struct command_row *totals_command = command_row(CMD_SYSTEM_TOTALS);
    char subject[SUBJECT_BYTES];
    struct refresh *refresh;
    struct request request = {
        .subject = subject, .inbox = KEY, .timeout_ms = PATIENCE_MS, .done = on_totals};

    if (totals->asking || (totals->known != NULL && clock_now_ns() - totals->known_ns < FRESH_NS)) {
        done(ctx);
        return;
    }
    refresh = malloc(sizeof *refresh);
    if (refresh == NULL)
        abort();
    *refresh = (struct refresh){totals, done, ctx};
    request.ctx = refresh;
    totals->asking = true;
    subject_command(subject, TENANT_PLATFORM, KEY, totals_command->noun, totals_command->verb);
    request_send(run_requests(totals->run), &request);
}

static const struct series {
    const char *name;
    const char *type;
    const char *help;
    size_t field; // an int64_t of Hr__TenantTotals
} by_tenants[] = {
    {"handoffrail_handoffs_total",         "counter", "Packets created",
     offsetof(Hr__TenantTotals, handoffs)    },
    {"handoffrail_hitl_checkpoints_total", "counter", "Packets that stopped for a human",
     offsetof(Hr__TenantTotals, checkpoints) },
    {"handoffrail_hitl_responses_total",   "counter", "Answers of humans",
     offsetof(Hr__TenantTotals, responses)   },
    {"handoffrail_webhook_dlq_size",       "gauge",   "Webhooks' dead letters",
     offsetof(Hr__TenantTotals, dead_letters)},
};

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int64_t value_of(const Hr__TenantTotals *tenant, const struct series *series)
{
    return *(const int64_t *)((const char *)tenant + series->field);
}

static void put_tenants(struct buf *out, const Hr__Totals *known, const struct series *series,
                        bool by_tenant)
{
    int64_t sum = 0;

    for (size_t i = 0; i < known->n_tenants; i++) {
        int64_t value = value_of(known->tenants[i], series);

        sum += value;
        if (by_tenant)
            buf_printf(out, "%s{tenant_id=\"%.*s\"} %" PRId64 "\n", series->name,
                       TEXT_ARGS(known->tenants[i]->tenant), value);
    }
    if (!by_tenant)
        buf_printf(out, "%s{tenant_id=\"" EVERYBODY "\"} %" PRId64 "\n", series->name, sum);
}

// What may still fail has not ended.
static bool is_active(Text name)
{
    int status;

    return wire_enum_parse(&hr__status__descriptor, (const char *)name.data, name.len, &status) &&
           lifecycle_allows((Hr__Status)status, MOVE_FAIL);
}

static void put_statuses(struct buf *out, const Hr__Totals *known)
{
    int64_t active = 0;

    put_head(out, "handoffrail_packet_status_count", "gauge", "Packets by status");
    for (size_t i = 0; known != NULL && i < known->n_statuses; i++) {
        const Hr__StatusTotal *status = known->statuses[i];

        buf_printf(out, "handoffrail_packet_status_count{status=\"%.*s\"} %" PRId64 "\n",
                   TEXT_ARGS(status->status), status->packets);
        active += is_active(status->status) ? status->packets : 0;
    }
    put_head(out, "handoffrail_active_packets", "gauge", "Packets that have not ended");
    if (known != NULL)
        buf_printf(out, "handoffrail_active_packets %" PRId64 "\n", active);
}

// Readers look for these names here too. Their samples are those of the programs that count them:
// shown a second time they would be added up twice.
static const struct {
    const char *name;
    const char *type;
    const char *help;
} counted_elsewhere[] = {
    {"handoffrail_webhook_deliveries_total", "counter",
     "Attempts to deliver an event; counted by the webhook worker"   },
    {"handoffrail_chain_depth",              "histogram",
     "Hops of the follow-ups made; counted by the chain worker"      },
    {"handoffrail_api_key_operations_total", "counter",
     "API keys created, revoked and rotated; none is by this program"},
};

void totals_write(const struct totals *totals, struct buf *out, bool by_tenant)
{
    for (size_t i = 0; i < sizeof counted_elsewhere / sizeof counted_elsewhere[0]; i++)
        put_head(out, counted_elsewhere[i].name, counted_elsewhere[i].type,
                 counted_elsewhere[i].help);
    for (size_t i = 0; i < sizeof by_tenants / sizeof by_tenants[0]; i++) {
        const struct series *series = &by_tenants[i];

        put_head(out, series->name, series->type, series->help);
        if (totals->known != NULL)
            put_tenants(out, totals->known, series, by_tenant);
    }
    put_statuses(out, totals->known);
}
