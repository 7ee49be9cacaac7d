// From counts that the projection keeps, and from the ends of indexes: however many packets there
// are, nothing is gone through. JSON is made by Postgres where a field is JSON.
#include "workers/query/numbers.h"

#include <inttypes.h>
#include <string.h>

// A filter that is null drops out: $1 null is every tenant.
#define OF_TENANT "($1::text IS NULL OR tenant = $1)"

#define BY_STATUS                                                                                  \
    "(SELECT coalesce(json_object_agg(status, n), '{}')::text FROM (SELECT status, sum(n) AS n"    \
    " FROM packet_counts WHERE " OF_TENANT " GROUP BY status HAVING sum(n) > 0 ORDER BY status)"   \
    " AS found)"

#define SUM_OF(what, statuses)                                                                     \
    "(SELECT coalesce(sum(" what "), 0)::bigint FROM packet_counts WHERE " OF_TENANT statuses ")"

// Seconds to the millisecond, or null when there are none.
#define AVERAGE(total, count, statuses)                                                            \
    "(SELECT coalesce(round(sum(" total ") / nullif(sum(" count "), 0) / 1000000, 3)::text,"       \
    " 'null') FROM packet_counts WHERE " OF_TENANT statuses ")"

// Whole hours are known; of the one that the time begins in, the packets are counted.
#define SINCE(interval)                                                                            \
    "(SELECT coalesce(sum(whole.n + rest.n), 0)::bigint FROM"                                      \
    " (SELECT DISTINCT tenant FROM packet_counts WHERE " OF_TENANT ") AS known,"                   \
    " LATERAL (SELECT coalesce(sum(h.n), 0) AS n FROM packet_hours h"                              \
    " WHERE h.tenant = known.tenant"                                                               \
    " AND h.hour > now() - interval '" interval "') AS whole,"                                     \
    " LATERAL (SELECT count(*) AS n FROM packets p WHERE p.tenant = known.tenant"                  \
    " AND p.created_at > now() - interval '" interval "' AND p.created_at <"                       \
    " date_trunc('hour', now() - interval '" interval "', 'UTC') + interval '1 hour') AS rest)"

#define DELIVERIES(condition)                                                                      \
    "(SELECT count(*) FROM webhook_deliveries WHERE " OF_TENANT                                    \
    " AND updated_at > now() - interval '1 hour' AND attempts > 0 AND " condition ")"

#define TAKEN " AND status IN ('claimed', 'in_progress', 'awaiting_human')"
#define WORKED_ON " AND status IN ('claimed', 'in_progress', 'completed')"
#define TAKEN_OR_DONE " AND status IN ('claimed', 'in_progress', 'awaiting_human', 'completed')"

static const struct pg_statement stats_statement = {
    "numbers_stats",
    "SELECT " SUM_OF("n", "") ", " BY_STATUS ", " SINCE("24 hours") ", " AVERAGE(
        "claim_us", "claims", WORKED_ON) ", " SUM_OF("n", " AND status = 'awaiting_human'"),
};

// One column a line.
// clang-format off
static const struct pg_statement health_statement = {
    "numbers_health",
    "SELECT "
    SUM_OF("n", "") ", "
    BY_STATUS ", "
    SINCE("1 hour") ", "
    SINCE("24 hours") ", "
    AVERAGE("claim_us", "claims", TAKEN_OR_DONE) ", "
    AVERAGE("complete_us", "completions", TAKEN_OR_DONE) ", "
    "(SELECT count(*) FROM (SELECT FROM agent_counts WHERE " OF_TENANT
    " GROUP BY tenant, agent HAVING sum(active) > 0) AS found), "
    "(SELECT count(*) FROM (SELECT FROM agent_counts WHERE " OF_TENANT
    " GROUP BY tenant, agent HAVING sum(n) > 0) AS found), "
    "(SELECT coalesce(json_agg(json_build_object('agent_id', agent, 'packet_count', n)), '[]')::text"
    " FROM (SELECT agent, sum(n)::bigint AS n FROM agent_counts WHERE " OF_TENANT
    " GROUP BY agent HAVING sum(n) > 0 ORDER BY n DESC, agent LIMIT 5) AS busiest), "
    SUM_OF("n", " AND status = 'created'") ", "
    "(SELECT coalesce(round(extract(epoch FROM now() - min(created_at))::numeric, 3)::text, 'null')"
    " FROM packets WHERE " OF_TENANT " AND status = 'created'), "
    SUM_OF("n", TAKEN) ", "
    "pg_database_size(current_database()), "
    DELIVERIES("true") ", "
    DELIVERIES("status IN ('failed', 'dead_letter')") ", "
    "(SELECT coalesce(round(avg(took_us) / 1000, 3)::text, 'null') FROM webhook_deliveries"
    " WHERE " OF_TENANT " AND updated_at > now() - interval '1 hour' AND status = 'delivered')",
};
// clang-format on

struct numbers {
    struct arena *arena;
    struct numbers_known known;
    query_done done;
    void *ctx;
};

static Hr__Json *json_at(const struct numbers *numbers, const struct pg_result *row, int column)
{
    size_t len;
    const void *data = pg_get_bytes(row, 0, column, &len);

    return wire_json(numbers->arena, text_copy(numbers->arena, data, len));
}

static void set(protobuf_c_boolean *has, int64_t *field, int64_t value)
{
    *has = true;
    *field = value;
}

static Hr__Stats *read_stats(const struct numbers *numbers, const struct pg_result *row)
{
    Hr__Stats *stats = wire_new(numbers->arena, &hr__stats__descriptor);

    set(&stats->has_total_packets, &stats->total_packets, pg_get_int(row, 0, 0));
    stats->packets_by_status = json_at(numbers, row, 1);
    set(&stats->has_packets_last_24h, &stats->packets_last_24h, pg_get_int(row, 0, 2));
    stats->avg_claim_time_seconds = json_at(numbers, row, 3);
    set(&stats->has_hitl_queue_depth, &stats->hitl_queue_depth, pg_get_int(row, 0, 4));
    return stats;
}

static Hr__SystemHealth *read_health(const struct numbers *numbers, const struct pg_result *row)
{
    Hr__SystemHealth *health = wire_new(numbers->arena, &hr__system_health__descriptor);
    struct arena *arena = numbers->arena;

    health->has_database_backend = true;
    health->database_backend = text_of("postgresql");
    set(&health->has_total_packets, &health->total_packets, pg_get_int(row, 0, 0));
    health->packets_by_status = json_at(numbers, row, 1);
    set(&health->has_packets_created_last_1h, &health->packets_created_last_1h,
        pg_get_int(row, 0, 2));
    set(&health->has_packets_created_last_24h, &health->packets_created_last_24h,
        pg_get_int(row, 0, 3));
    health->avg_time_to_claim_seconds = json_at(numbers, row, 4);
    health->avg_time_to_complete_seconds = json_at(numbers, row, 5);
    set(&health->has_active_agents, &health->active_agents, pg_get_int(row, 0, 6));
    set(&health->has_total_agents_seen, &health->total_agents_seen, pg_get_int(row, 0, 7));
    health->top_agents = json_at(numbers, row, 8);
    set(&health->has_packets_waiting, &health->packets_waiting, pg_get_int(row, 0, 9));
    health->oldest_waiting_packet_age_seconds = json_at(numbers, row, 10);
    set(&health->has_claimed_not_completed, &health->claimed_not_completed, pg_get_int(row, 0, 11));
    set(&health->has_total_webhooks, &health->total_webhooks, numbers->known.webhooks);
    set(&health->has_recent_deliveries_1h, &health->recent_deliveries_1h, pg_get_int(row, 0, 13));
    set(&health->has_failed_deliveries_1h, &health->failed_deliveries_1h, pg_get_int(row, 0, 14));
    health->avg_delivery_latency_ms = json_at(numbers, row, 15);
    health->db_size_bytes =
        wire_json(arena, text_of(arena_printf(arena, "%" PRId64, pg_get_int(row, 0, 12))));
    health->connection_pool = wire_json(
        arena, text_of(arena_printf(arena, "{\"size\":%" PRId64 "}", numbers->known.connections)));
    return health;
}

static struct numbers *numbers_create(struct arena *arena, struct numbers_known known,
                                      query_done done, void *ctx)
{
    struct numbers *numbers = arena_alloc(arena, sizeof *numbers);

    *numbers = (struct numbers){arena, known, done, ctx};
    return numbers;
}

static void on_stats(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct numbers *numbers = ctx;

    numbers->done(numbers->ctx, rc, rc == RC_OK ? &read_stats(numbers, results[0])->base : NULL);
}

static void on_health(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct numbers *numbers = ctx;

    numbers->done(numbers->ctx, rc, rc == RC_OK ? &read_health(numbers, results[0])->base : NULL);
}

enum rc numbers_stats(struct pg *pg, const char *tenant, struct arena *arena, query_done done,
                      void *ctx)
{
    const struct pg_param param = pg_text(tenant, strlen(tenant));

    return pg_query(pg, &stats_statement, &param, 1, on_stats,
                    numbers_create(arena, (struct numbers_known){0}, done, ctx));
}

enum rc numbers_health(struct pg *pg, const char *tenant, const struct numbers_known *known,
                       struct arena *arena, query_done done, void *ctx)
{
    const struct pg_param param =
        tenant != NULL ? pg_text(tenant, strlen(tenant)) : pg_null(PG_TEXT);

    return pg_query(pg, &health_statement, &param, 1, on_health,
                    numbers_create(arena, *known, done, ctx));
}
