// One statement: up to the first ancestor, and down from there.
//
// Every packet has one parent at most, so going up cannot branch, and going down meets a packet
// twice only where it comes round to where it began. Parents that clients set by hand can form such
// a ring: then one packet of the ring, always the same, stands for the first ancestor, and the way
// back to it is not taken. LATERAL with OFFSET keeps the planner to one index probe per packet
// whatever it believes about the size of the table.
#include "workers/query/tree.h"

#include "workers/query/tree_row.h"

#include <string.h>

#define TEXT_OF_TOKEN(x) #x
#define TEXT_OF(x) TEXT_OF_TOKEN(x)

static const struct pg_statement tree_statement = {
    "tree",
    "WITH RECURSIVE up AS ("
    "SELECT id, parent_id, 0 AS n FROM packets WHERE tenant = $1 AND id = $2"
    " UNION ALL"
    " SELECT p.id, p.parent_id, up.n + 1 FROM up CROSS JOIN LATERAL"
    " (SELECT id, parent_id FROM packets WHERE tenant = $1 AND id = up.parent_id OFFSET 0) AS p"
    " WHERE up.n < $3),"
    " top AS (SELECT id FROM up GROUP BY id"
    " ORDER BY count(*) > 1 DESC, CASE WHEN count(*) > 1 THEN id END, max(n) DESC LIMIT 1),"
    " down AS ("
    "SELECT id, 0 AS depth FROM top"
    " UNION ALL"
    " SELECT p.id, down.depth + 1 FROM down CROSS JOIN LATERAL"
    " (SELECT id FROM packets WHERE tenant = $1 AND parent_id = down.id OFFSET 0) AS p"
    " WHERE down.depth < $3 AND p.id <> (SELECT id FROM top))"
    " SELECT p.id, p.parent_id, d.depth, p.status, p.created_at, p.updated_at, p.source_agent,"
    " p.target_agent, substring(p.packet FOR " TEXT_OF(
        TREE_ROW_BYTES) ")"
                        " FROM (SELECT id, depth FROM down LIMIT $4) AS d"
                        " JOIN packets AS p ON p.tenant = $1 AND p.id = d.id"
                        " ORDER BY d.depth, p.created_at, p.id",
};

struct tree {
    struct arena *arena;
    Hr__ChainTree *answer;
    query_done done;
    void *ctx;
};

static Text id_at(struct arena *arena, const struct pg_result *rows, int row, int column)
{
    struct uuid id = pg_get_uuid(rows, row, column);
    char *text = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(text, &id);
    return text_of(text);
}

static Text text_at(struct arena *arena, const struct pg_result *rows, int row, int column)
{
    size_t len;
    const void *data = pg_get_bytes(rows, row, column, &len);

    return text_copy(arena, data, len);
}

// Of an agent that did not fit, the column holds the beginning of the id.
static void put_agents(Hr__TreeNode *node, const Hr__Metadata *metadata, Text source, Text target,
                       struct arena *arena)
{
    node->source_agent = metadata != NULL ? metadata->source_agent : NULL;
    node->target_agent = metadata != NULL ? metadata->target_agent : NULL;
    if (node->source_agent == NULL) {
        node->source_agent = wire_new(arena, &hr__source_agent__descriptor);
        node->source_agent->has_id = node->source_agent->has_name = true;
        node->source_agent->id = node->source_agent->name = source;
    }
    if (node->target_agent == NULL) {
        node->target_agent = wire_new(arena, &hr__target_agent__descriptor);
        node->target_agent->has_id = node->target_agent->has_name = true;
        node->target_agent->id = node->target_agent->name = target;
    }
}

static Hr__TreeNode *read_node(struct arena *arena, const struct pg_result *rows, int row)
{
    Hr__TreeNode *node = wire_new(arena, &hr__tree_node__descriptor);
    const Hr__Metadata *metadata;
    const void *data;
    size_t len;
    int status;

    node->has_id = true;
    node->id = id_at(arena, rows, row, 0);
    node->has_parent_packet_id = !pg_is_null(rows, row, 1);
    if (node->has_parent_packet_id)
        node->parent_packet_id = id_at(arena, rows, row, 1);
    node->has_depth = true;
    node->depth = pg_get_int(rows, row, 2);
    data = pg_get_bytes(rows, row, 3, &len);
    if (wire_enum_parse(&hr__status__descriptor, data, len, &status)) {
        node->has_status = true;
        node->status = (Hr__Status)status;
    }
    node->created_at = wire_timestamp(arena, pg_get_timestamp_us(rows, row, 4));
    node->updated_at = wire_timestamp(arena, pg_get_timestamp_us(rows, row, 5));
    data = pg_get_bytes(rows, row, 8, &len);
    metadata = tree_row_metadata(arena, data, len);
    put_agents(node, metadata, text_at(arena, rows, row, 6), text_at(arena, rows, row, 7), arena);
    if (metadata != NULL) {
        node->claimed_at = metadata->claimed_at;
        node->completed_at = metadata->completed_at;
    }
    return node;
}

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct tree *tree = ctx;
    Hr__ChainTree *answer = tree->answer;

    if (rc == RC_OK && pg_rows(results[0]) == 0)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK) {
        int count = pg_rows(results[0]);

        answer->has_truncated = true;
        answer->truncated = count > TREE_NODES_MAX;
        if (answer->truncated)
            count = TREE_NODES_MAX;
        answer->nodes = arena_calloc(tree->arena, (size_t)count, sizeof(void *));
        for (int row = 0; row < count; row++)
            answer->nodes[answer->n_nodes++] = read_node(tree->arena, results[0], row);
        answer->has_root_id = true;
        answer->root_id = answer->nodes[0]->id;
    }
    tree->done(tree->ctx, rc, rc == RC_OK ? &answer->base : NULL);
}

enum rc tree_get(struct pg *pg, const char *tenant, const Hr__GetTree *request, struct arena *arena,
                 query_done done, void *ctx)
{
    struct tree *tree = arena_alloc(arena, sizeof *tree);
    char *id_text = arena_alloc(arena, UUID_TEXT_BYTES);
    struct uuid id;

    if (uuid_parse((const char *)request->packet_id.data, request->packet_id.len, &id) != NULL)
        return RC_INVALID;
    uuid_format(id_text, &id);
    *tree = (struct tree){arena, wire_new(arena, &hr__chain_tree__descriptor), done, ctx};
    tree->answer->has_packet_id = true;
    tree->answer->packet_id = text_of(id_text);

    const struct pg_param params[] = {
        pg_text(tenant, strlen(tenant)),
        pg_uuid(&id),
        pg_int4(TREE_NODES_MAX),
        pg_int8(TREE_NODES_MAX + 1),
    };

    return pg_query(pg, &tree_statement, params, 4, on_rows, tree);
}
