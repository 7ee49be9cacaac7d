// Load the parent, decide, append the child: the change engine does the last two.
#include "workers/chain/chain.h"

#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/rail/commands.h"
#include "broker/rail/context.h"
#include "broker/rail/schema_check.h"
#include "broker/rail/version.h"

#include <assert.h>

struct follow_up {
    struct chain *chain;
    struct command *command;
    struct chain_parent parent;
    struct change_spec spec;
};

// --- the schema of a follow-up -------------------------------------------------------------------

// A schema speaks of the context as the child will show it, so the child is put together once
// before it is made.
struct trial {
    const struct change_spec *spec;
    struct store *store;
    struct arena *arena;
    Hr__Packet *child;
    change_checked_fn done;
    void *change;
};

static void on_assembled(void *ctx, const struct problem *problem)
{
    struct trial *trial = ctx;
    const Hr__ChainPacket *request = (const Hr__ChainPacket *)trial->spec->request;

    if (problem != NULL)
        trial->done(trial->change, problem);
    else
        schema_check(trial->store, trial->spec->tenant, request->schema_id, trial->child->context,
                     trial->arena, trial->done, trial->change);
}

// Deciding changes what it is given, so it is given a copy.
static ProtobufCMessage *copy_of(const ProtobufCMessage *request, struct arena *arena)
{
    Text bytes = wire_pack(arena, request);
    ProtobufCMessage *copy = NULL;
    enum rc rc = wire_unpack(&copy, arena, request->descriptor, bytes.data, bytes.len);

    assert(rc == RC_OK);
    (void)rc;
    message_complete(copy, arena);
    return copy;
}

static void check_schema(const struct change_spec *spec, struct store *store, struct arena *arena,
                         change_checked_fn done, void *change)
{
    struct trial *trial = arena_alloc(arena, sizeof *trial);
    const struct chain_parent *parent = spec->ctx;
    struct decision decision = {.arena = arena,
                                .packet_id = parent->packet_id, // of none; it is not looked at
                                .key_id = spec->key_id,
                                .ctx = parent,
                                .now_us = timestamp_now_us()};

    if (decide_chain(&decision, copy_of(spec->request, arena)) != RC_OK) {
        done(change, &decision.problem);
        return;
    }
    *trial = (struct trial){spec, store, arena, decision.packet, done, change};
    context_assemble(store, spec->tenant, trial->child, arena, on_assembled, trial);
}

// --- the follow-up -------------------------------------------------------------------------------

static void on_changed(void *ctx, enum rc rc, const struct stored *stored,
                       const struct problem *problem)
{
    struct follow_up *follow_up = ctx;

    if (rc != RC_OK) {
        command_refuse(follow_up->command, problem);
        return;
    }
    if (stored->record->packet->lineage != NULL)
        metric_observe(follow_up->chain->depth, "", (double)stored->record->packet->lineage->hops);
    command_reply_changed(follow_up->command, follow_up->chain->store, stored);
}

static void on_parent(void *ctx, enum rc rc, const struct version_last *last)
{
    struct follow_up *follow_up = ctx;
    struct command *command = follow_up->command;

    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        command_fail(command, rc);
        return;
    }
    // Without a parent, too: a repeat is answered with the child even so.
    if (rc == RC_OK) {
        follow_up->parent.packet = last->packet;
        follow_up->parent.event_id = last->event_id;
        follow_up->parent.sequence = last->sequence;
    }
    follow_up->spec = (struct change_spec){
        .tenant = command->tenant,
        .key_id = command->key_id,
        .verb = "packet.chain",
        .look_first = true,
        .idempotency_key = command->idempotency_key,
        .check = ((Hr__ChainPacket *)command->request)->has_schema_id ? check_schema : NULL,
        .decide = decide_chain,
        .ctx = &follow_up->parent,
        .request = command->request,
    };
    change_run(follow_up->chain->store, &follow_up->spec, command->arena, on_changed, follow_up);
}

void chain_on_chain(void *ctx, struct command *command)
{
    struct chain *chain = ctx;
    const Hr__ChainPacket *request = (const Hr__ChainPacket *)command->request;
    struct follow_up *follow_up;

    if (request->packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    if (!bucket_is_current(chain->settings.tenants)) {
        command_fail(command, RC_UNAVAILABLE); // a tenant's limits are not known
        return;
    }
    follow_up = arena_calloc(command->arena, 1, sizeof *follow_up);
    follow_up->chain = chain;
    follow_up->command = command;
    follow_up->parent.packet_id =
        arena_copy(command->arena, request->packet_id.data, request->packet_id.len);
    follow_up->parent.if_match = command->if_match;
    follow_up->parent.claim = command->claim;
    parent_set_limits(&follow_up->parent, &chain->settings, command->tenant);
    version_load_last(chain->store, command->tenant, follow_up->parent.packet_id, command->arena,
                      on_parent, follow_up);
}

// --- left-out context ----------------------------------------------------------------------------

struct context_command {
    struct chain *chain;
    struct command *command;
    const char *packet_id;
};

static void on_found(void *ctx, const Hr__OwnPart *part, uint64_t sequence,
                     const struct problem *problem)
{
    struct command *command = ctx;

    if (problem != NULL)
        command_refuse(command, problem);
    else
        command_reply(command, &part->base, sequence);
}

static void on_loaded(void *ctx, enum rc rc, const struct version_last *last)
{
    struct context_command *context = ctx;
    struct command *command = context->command;
    const Hr__GetContext *request = (const Hr__GetContext *)command->request;
    struct problem problem;

    if (rc == RC_OK) {
        context_find(context->chain->store, command->tenant, last->packet, request->from,
                     command->arena, on_found, command);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Packet %s not found",
                          context->packet_id);
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

void chain_on_context(void *ctx, struct command *command)
{
    struct context_command *context = arena_calloc(command->arena, 1, sizeof *context);
    const Hr__GetContext *request = (const Hr__GetContext *)command->request;

    if (request->packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    context->chain = ctx;
    context->command = command;
    context->packet_id =
        arena_copy(command->arena, request->packet_id.data, request->packet_id.len);
    version_load_last(context->chain->store, command->tenant, context->packet_id, command->arena,
                      on_loaded, context);
}
