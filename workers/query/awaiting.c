// Walks the index of open checkpoints; filters that are null drop out, as in list.c.
#include "workers/query/awaiting.h"

#include "broker/sql/column.h"

#include <string.h>

#define MATCHES                                                                                    \
    " FROM packets WHERE tenant = $1 AND status = 'awaiting_human'"                                \
    " AND ($2::bigint[] IS NULL OR approvers = '{}' OR approvers && $2)"                           \
    " AND ($3::timestamptz IS NULL OR due_at < $3)"                                                \
    " AND ($4::text IS NULL OR priority = $4)"

static const struct pg_statement page_statement = {
    "awaiting_page",
    "SELECT " PAGE_COLUMNS " FROM ("
    "SELECT packet, seq, due_at, created_at, id,"
    " coalesce(sum(octet_length(packet)) OVER (ORDER BY due_at, created_at, id"
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before FROM ("
    "SELECT packet, seq, due_at, created_at, id" MATCHES
    " ORDER BY due_at, created_at, id LIMIT $5 OFFSET $6) AS page) AS measured"
    " WHERE bytes_before < $7 ORDER BY due_at, created_at, id",
};

static const struct pg_statement count_statement = {
    "awaiting_count",
    "SELECT count(*)" MATCHES,
};

#define FILTERS 4
#define PARAMS 7

struct awaiting {
    struct arena *arena;
    Hr__PacketPage *page;
    query_done done;
    void *ctx;
};

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct awaiting *awaiting = ctx;

    if (rc == RC_OK) {
        awaiting->page->total = pg_get_int(results[1], 0, 0);
        rc = page_read(awaiting->page, awaiting->arena, results[0], pg_rows(results[0]));
    }
    awaiting->done(awaiting->ctx, rc, rc == RC_OK ? &awaiting->page->base : NULL);
}

struct search {
    const char *tenant;
    Text approver;
    struct arena *arena;
    struct pg_array *names;
};

static void add(struct pg_array *names, const void *name, size_t len)
{
    pg_array_append(names, pg_int8(column_hash(name, len)));
}

static void add_groups(void *ctx, const char *name, const ProtobufCMessage *value)
{
    const Hr__ApiKey *key = (const Hr__ApiKey *)value;
    const struct search *search = ctx;

    (void)name;
    if (key->revoked || !text_is(key->tenant, search->tenant) ||
        !text_equal(key->id, search->approver))
        return;
    for (size_t i = 0; i < key->n_groups; i++) {
        const char *group = arena_printf(search->arena, "group:%.*s", TEXT_ARGS(key->groups[i]));

        add(search->names, group, strlen(group));
    }
}

// By all the names that the approver may be called. Null: everybody's.
static enum rc set_approver(struct pg_param *param, struct pg_array *names,
                            const struct bucket *keys, const char *tenant, Text approver,
                            struct arena *arena)
{
    struct search search = {tenant, approver, arena, names};
    enum rc rc = pg_array_param(names, param); // for its type

    if (rc != RC_OK)
        return rc;
    if (approver.len == 0) {
        *param = pg_null(param->type);
        return RC_OK;
    }
    if (!bucket_is_current(keys))
        return RC_UNAVAILABLE;
    add(names, approver.data, approver.len);
    bucket_each(keys, add_groups, &search);
    return pg_array_param(names, param);
}

enum rc awaiting_list(struct pg *pg, const struct bucket *keys, const char *tenant,
                      const Hr__ListAwaiting *request, struct arena *arena, query_done done,
                      void *ctx)
{
    struct awaiting *awaiting = arena_calloc(arena, 1, sizeof *awaiting);
    struct pg_param params[PARAMS];
    struct pg_array names;
    enum rc rc;
    const struct pg_step steps[] = {
        {&page_statement,  params, PARAMS },
        {&count_statement, params, FILTERS},
    };

    *awaiting = (struct awaiting){arena,
                                  page_create(arena, request->has_limit, request->limit,
                                              request->has_offset, request->offset),
                                  done, ctx};
    params[0] = pg_text(tenant, strlen(tenant));
    params[2] = page_time(request->due_before);
    params[3] = page_text(arena, request->has_priority, request->priority);
    params[4] = pg_int8(awaiting->page->limit);
    params[5] = pg_int8(awaiting->page->offset);
    params[6] = pg_int8(PAGE_BYTES_MAX);
    pg_array_init(&names, PG_INT8);
    rc = set_approver(&params[1], &names, keys, tenant, request->approver, arena);
    if (rc == RC_OK)
        rc = pg_run(pg, PG_SNAPSHOT, steps, 2, on_rows, awaiting);
    pg_array_fini(&names);
    return rc;
}
