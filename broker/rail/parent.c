// A parent is looked for in the tenant of the command alone, so one of another tenant is as good as
// none.
#include "broker/rail/parent.h"

#include "broker/rail/version.h"

#define WINDOW_MIN 2

// What decide_create_child gets, and what the check needs to fill it in.
struct child {
    struct chain_parent parent; // first: it is the ctx of the decision
    change_check_fn own_check;  // of the create; NULL: none
};

struct loading {
    const struct change_spec *spec;
    struct store *store;
    struct arena *arena;
    change_checked_fn done;
    void *change;
};

static void set(int64_t *limit, bool has, int64_t value, int64_t min, int64_t max)
{
    if (has)
        *limit = value < min ? min : value > max ? max : value;
}

void parent_set_limits(struct chain_parent *parent, const struct parent_settings *settings,
                       const char *tenant)
{
    const Hr__Tenant *own = (const Hr__Tenant *)bucket_find(settings->tenants, tenant);

    parent->limits = settings->limits;
    parent->max_context_bytes = settings->max_context_bytes;
    if (own == NULL)
        return;
    set(&parent->limits.max_hops, own->has_max_hops, own->max_hops, 0, INT64_MAX);
    set(&parent->limits.max_cycles, own->has_max_cycles, own->max_cycles, 0, INT64_MAX);
    set(&parent->limits.max_repeats, own->has_max_repeats, own->max_repeats, 1, INT64_MAX);
    set(&parent->limits.window, own->has_repeat_window, own->repeat_window, WINDOW_MIN,
        LOOP_PATH_MAX);
    set(&parent->max_context_bytes, own->has_max_context_bytes, own->max_context_bytes, 0,
        INT64_MAX);
}

static void on_parent(void *ctx, enum rc rc, const struct version_last *last)
{
    struct loading *loading = ctx;
    struct child *child = (struct child *)(uintptr_t)loading->spec->ctx;
    struct problem problem;

    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        (void)problem_of_rc(&problem, loading->arena, rc);
        loading->done(loading->change, &problem);
        return;
    }
    if (rc == RC_OK) {
        child->parent.packet = last->packet;
        child->parent.event_id = last->event_id;
        child->parent.sequence = last->sequence;
    }
    if (child->own_check != NULL)
        child->own_check(loading->spec, loading->store, loading->arena, loading->done,
                         loading->change);
    else
        loading->done(loading->change, NULL);
}

static void load_parent(const struct change_spec *spec, struct store *store, struct arena *arena,
                        change_checked_fn done, void *change)
{
    struct loading *loading = arena_alloc(arena, sizeof *loading);
    const struct child *child = spec->ctx;

    *loading = (struct loading){spec, store, arena, done, change};
    version_load_last(store, spec->tenant, child->parent.packet_id, arena, on_parent, loading);
}

const void *parent_of_create(const struct parent_settings *settings, const char *tenant,
                             const Hr__CreatePacket *request, struct arena *arena,
                             change_check_fn *check)
{
    struct child *child;

    if (!request->has_parent_packet_id)
        return NULL;
    child = arena_calloc(arena, 1, sizeof *child);
    child->parent.packet_id =
        arena_copy(arena, request->parent_packet_id.data, request->parent_packet_id.len);
    child->own_check = *check;
    parent_set_limits(&child->parent, settings, tenant);
    *check = load_parent;
    return child;
}
