// The stub first, the ancestors then.
#include "broker/rail/packet_view.h"

#include "broker/rail/context.h"
#include "broker/rail/version.h"

struct whole {
    struct store *store;
    const char *tenant;
    struct arena *arena;
    Hr__Packet *packet;
    uint64_t sequence;
    Google__Protobuf__Timestamp *archived_at; // of the stub; NULL: there was none
    whole_done_fn done;
    void *ctx;
};

static void on_assembled(void *ctx, const struct problem *problem)
{
    struct whole *whole = ctx;

    whole->packet->archived_at = whole->archived_at;
    whole->done(whole->ctx, problem, problem == NULL ? whole->packet : NULL, whole->sequence);
}

static void assemble(struct whole *whole)
{
    context_assemble(whole->store, whole->tenant, whole->packet, whole->arena, on_assembled, whole);
}

static void on_last(void *ctx, enum rc rc, const struct version_last *last)
{
    struct whole *whole = ctx;
    struct problem problem;

    if (rc != RC_OK) {
        (void)problem_of_rc(&problem, whole->arena, rc);
        whole->done(whole->ctx, &problem, NULL, 0);
        return;
    }
    whole->packet = last->packet;
    whole->sequence = last->sequence;
    assemble(whole);
}

void whole_load(struct store *store, const char *tenant, Hr__Packet *packet, uint64_t sequence,
                struct arena *arena, whole_done_fn done, void *ctx)
{
    struct whole *whole = arena_calloc(arena, 1, sizeof *whole);

    *whole = (struct whole){
        store, tenant, arena, packet, sequence, packet->archived_at, done, ctx,
    };
    if (packet->archived_at != NULL)
        version_load_last(store, tenant, arena_copy(arena, packet->id.data, packet->id.len), arena,
                          on_last, whole);
    else
        assemble(whole);
}
