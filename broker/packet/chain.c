// The child is made as any packet is, and gets its lineage: where it comes from, and whether it
// may.
//
// It names its parent and the parent's nearest ancestors, each in the version that it was made
// from; those farther away are named by the record of the last one. So what a link stores does not
// grow with its chain.
#include "broker/packet/chain.h"

#include "broker/message/issues.h"
#include "broker/packet/carry.h"
#include "broker/packet/details.h"
#include "broker/packet/hitl.h"
#include "broker/packet/own_content.h"

static enum rc check_carry(struct decision *d, const Hr__ChainPacket *request)
{
    struct issues issues = {.arena = d->arena};
    struct path path = {0};
    size_t count = request->carry != NULL ? request->carry->n_items : 0;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("carry"));
    for (size_t i = 0; i < count; i++) {
        Text name = request->carry->items[i];
        struct issue *issue;

        if (carry_of_name(name) != 0)
            continue;
        path_push_index(&path, i);
        issue = issues_add(&issues, &path, "enum",
                           arena_printf(d->arena, "Input should be %s", carry_choices));
        issue->input = json_of_text(d->arena, name);
        issue->ctx = text_of(arena_printf(d->arena, "{\"expected\":\"%s\"}", carry_choices));
        path_pop(&path);
    }
    return issues.count == 0 ? RC_OK : issues_to_problem(&issues, &d->problem);
}

// Whoever has finished a packet holds it no longer and may go on from it; nobody can tell who it
// was.
static bool is_stale(const struct chain_parent *parent)
{
    const Hr__Packet *packet = parent->packet;

    if (parent->claim == 0 || packet->status == HR__STATUS__STATUS_COMPLETED ||
        packet->status == HR__STATUS__STATUS_FAILED || packet->status == HR__STATUS__STATUS_EXPIRED)
        return false;
    return packet->claim == NULL || packet->claim->generation != parent->claim;
}

static enum rc check_parent(struct decision *d, const struct chain_parent *parent)
{
    if (parent->packet == NULL)
        return problem_set(&d->problem, d->arena, PROBLEM_NOT_FOUND, "Packet %s not found",
                           parent->packet_id);
    if (parent->if_match != 0 && parent->if_match != parent->sequence)
        return problem_set(&d->problem, d->arena, PROBLEM_PRECONDITION_FAILED,
                           "The packet has changed since the version named in If-Match");
    if (is_stale(parent))
        return problem_set(&d->problem, d->arena, PROBLEM_STALE_CLAIM,
                           "The claim this change was made under is over; somebody else may hold "
                           "the packet");
    return RC_OK;
}

// --- lineage -------------------------------------------------------------------------------------

// The agents that have had the work so far. A root is not told apart by what it was addressed to:
// whoever took it has it.
static struct loop_path path_of(const Hr__Packet *parent, struct arena *arena)
{
    struct loop_path path = {.count = 0};
    const Hr__Lineage *lineage = parent->lineage;

    if (lineage == NULL) {
        loop_go_on(&path, parent->metadata->source_agent->id, parent->metadata->target_agent->id,
                   arena);
        return path;
    }
    for (size_t i = 0; i < lineage->n_path && i < LOOP_PATH_MAX; i++)
        path.agents[path.count++] = lineage->path[i];
    return path;
}

static void put_path(Hr__Lineage *lineage, const struct loop_path *path, struct arena *arena)
{
    lineage->n_path = path->count;
    lineage->path = arena_calloc(arena, path->count, sizeof(Text));
    memcpy(lineage->path, path->agents, path->count * sizeof(Text));
}

static void put_ancestors(Hr__Lineage *lineage, const struct chain_parent *parent,
                          struct arena *arena)
{
    const Hr__Lineage *older = parent->packet->lineage;
    Hr__AncestorRef **refs = arena_calloc(arena, CHAIN_WINDOW, sizeof(Hr__AncestorRef *));
    size_t count = 0;

    refs[count++] = own_part_ref(parent->packet, parent->sequence, parent->event_id, arena);
    for (size_t i = 0; older != NULL && i < older->n_ancestors && count < CHAIN_WINDOW; i++)
        refs[count++] = older->ancestors[i];
    lineage->ancestors = refs;
    lineage->n_ancestors = count;
}

// One hop farther than the parent.
static Hr__Lineage *begin_lineage(const struct chain_parent *parent, const Hr__Metadata *metadata,
                                  const Hr__ChainLimits *limits, struct arena *arena)
{
    const Hr__Lineage *older = parent->packet->lineage;
    Hr__Lineage *lineage = wire_new(arena, &hr__lineage__descriptor);
    struct loop_path path = path_of(parent->packet, arena);

    loop_go_on(&path, metadata->source_agent->id, metadata->target_agent->id, arena);
    put_path(lineage, &path, arena);
    lineage->has_root_id = true;
    lineage->root_id = older != NULL ? older->root_id : parent->packet->id;
    lineage->has_hops = true;
    lineage->hops = (older != NULL ? older->hops : 0) + 1;
    lineage->limits = loop_stricter(older != NULL ? older->limits : NULL, limits, arena);
    return lineage;
}

static Hr__Lineage *make_lineage(struct decision *d, const Hr__ChainPacket *request)
{
    const struct chain_parent *parent = d->ctx;
    Hr__Lineage *lineage = begin_lineage(parent, request->metadata, request->limits, d->arena);
    unsigned carry = request->carry != NULL
                         ? carry_of(request->carry->items, request->carry->n_items)
                         : CARRY_ALL;

    lineage->carry = carry_names(carry, d->arena, &lineage->n_carry);
    put_ancestors(lineage, parent, d->arena);
    lineage->has_max_context_bytes = true;
    lineage->max_context_bytes = parent->max_context_bytes;
    if (request->has_max_context_bytes && request->max_context_bytes < lineage->max_context_bytes)
        lineage->max_context_bytes = request->max_context_bytes;
    return lineage;
}

// --- loops ---------------------------------------------------------------------------------------

static const char *say(struct arena *arena, enum loop loop, const struct loop_limits *limits)
{
    switch (loop) {
    case LOOP_HOPS:
        return arena_printf(arena, "the chain has more than %lld hops",
                            (long long)limits->max_hops);
    case LOOP_CYCLES:
        return arena_printf(arena,
                            "the same two agents hand it back and forth more than %lld times",
                            (long long)limits->max_cycles);
    case LOOP_DIVERTED:
        return "it was brought before a human, who has not let it go on";
    default:
        return arena_printf(arena,
                            "one agent has had it more than %lld times in the last %lld hops",
                            (long long)limits->max_repeats, (long long)limits->window);
    }
}

// Whatever led to a diversion leads no further, not even to another one: otherwise a packet that
// nobody has looked at would be a way round the limits.
static enum loop find_loop(const struct chain_parent *parent, const struct loop_limits *limits,
                           const Hr__Lineage *lineage)
{
    const Hr__Lineage *older = parent->packet->lineage;
    struct loop_path path = {.count = lineage->n_path};

    memcpy(path.agents, lineage->path, lineage->n_path * sizeof path.agents[0]);
    if (older != NULL && older->has_diverted_by_key)
        return LOOP_DIVERTED;
    return loop_check(limits, lineage->hops, &path);
}

static void put_number(struct json_writer *writer, const char *key, int64_t value)
{
    json_key(writer, key);
    json_integer(writer, value);
}

static enum rc refuse_loop(struct decision *d, enum loop loop, const struct loop_limits *limits,
                           const Hr__Lineage *lineage)
{
    const char *text = arena_printf(d->arena, "Handoff loop: %s", say(d->arena, loop, limits));
    struct buf out = {0};
    struct json_writer *detail = details_open(&out);

    details_put(detail, "message", text);
    details_put(detail, "reason", loop_name(loop));
    json_key(detail, "path");
    json_array_open(detail);
    for (size_t i = 0; i < lineage->n_path; i++)
        json_text(detail, lineage->path[i]);
    json_array_close(detail);
    put_number(detail, "hops", lineage->hops);
    json_key(detail, "limits");
    json_object_open(detail);
    put_number(detail, "max_hops", limits->max_hops);
    put_number(detail, "max_cycles", limits->max_cycles);
    put_number(detail, "max_repeats", limits->max_repeats);
    put_number(detail, "window", limits->window);
    json_object_close(detail);
    (void)problem_set_json(&d->problem, PROBLEM_HANDOFF_LOOP, details_close(detail, d->arena));
    d->problem.text = text;
    return RC_REFUSED;
}

// A checkpoint that the packet has anyway stays what it is: its approvers are not ours to change.
static Hr__Hitl *ask_human(const Hr__Hitl *own, const char *reason, struct arena *arena)
{
    Hr__Hitl *hitl = wire_new(arena, &hr__hitl__descriptor);

    if (own != NULL && own->required) {
        *hitl = *own;
        hitl->has_reason = true;
        hitl->reason =
            text_prefixed(arena, arena_printf(arena, "Handoff loop: %s. ", reason), own->reason);
        return hitl;
    }
    hitl->has_required = true;
    hitl->required = true;
    hitl->has_reason = true;
    hitl->reason = text_of(arena_printf(arena, "Handoff loop: %s", reason));
    hitl->has_question = true;
    hitl->question = text_of("Shall the agents go on?");
    hitl_ask_to_go_on(hitl, arena);
    return hitl;
}

// Its own checkpoint may have to decide about a loop: also said when there is no loop this time, so
// that a client learns it before the first one.
static enum rc check_own_checkpoint(struct decision *d, const Hr__ChainPacket *request)
{
    if (!request->divert_to_human || request->hitl == NULL || !request->hitl->required ||
        request->hitl->n_approve_options > 0)
        return RC_OK;
    return decide_hitl_fault(d, "approve_options is required with divert_to_human: it names the "
                                "answers that let the work go on");
}

// --- the command ---------------------------------------------------------------------------------

static Hr__CreatePacket *create_of(const Hr__ChainPacket *request, Text parent_id, Hr__Hitl *hitl,
                                   struct arena *arena)
{
    Hr__CreatePacket *create = wire_new(arena, &hr__create_packet__descriptor);

    create->metadata = request->metadata;
    create->context = request->context;
    create->has_parent_packet_id = true;
    create->parent_packet_id = parent_id;
    create->n_decisions = request->n_decisions;
    create->decisions = request->decisions;
    create->actions = request->actions;
    create->n_dependencies = request->n_dependencies;
    create->dependencies = request->dependencies;
    create->hitl = hitl;
    create->extra = request->extra;
    return create;
}

static Text details(struct decision *d, Text parent_id, enum loop diverted)
{
    struct buf out = {0};
    struct json_writer *writer = details_open(&out);

    details_put_text(writer, "parent_packet_id", true, parent_id);
    json_key(writer, "chain");
    json_bool(writer, true);
    if (diverted != LOOP_NONE)
        details_put(writer, "diverted", loop_name(diverted));
    return details_close(writer, d->arena);
}

enum rc decide_chain(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__ChainPacket *request = (const Hr__ChainPacket *)message;
    const struct chain_parent *parent = d->ctx;
    struct loop_limits limits = parent->limits;
    Hr__Hitl *hitl = request->hitl;
    Hr__Lineage *lineage;
    enum loop loop;
    enum rc rc = check_carry(d, request);

    if (rc == RC_OK)
        rc = check_own_checkpoint(d, request);
    if (rc == RC_OK)
        rc = check_parent(d, parent);
    if (rc != RC_OK)
        return rc;
    lineage = make_lineage(d, request);
    loop_tighten(&limits, lineage->limits);
    loop = find_loop(parent, &limits, lineage);
    if (loop != LOOP_NONE) {
        if (!request->divert_to_human || loop == LOOP_DIVERTED)
            return refuse_loop(d, loop, &limits, lineage);
        hitl = ask_human(hitl, say(d->arena, loop, &limits), d->arena);
        lineage->has_diverted_by_key = true;
        lineage->diverted_by_key = text_of(d->key_id);
    }
    rc = decide_create(d, &create_of(request, parent->packet->id, hitl, d->arena)->base);
    d->packet->lineage = lineage;
    d->details = details(d, parent->packet->id, loop);
    return rc;
}

enum rc decide_create_child(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__CreatePacket *request = (const Hr__CreatePacket *)message;
    const struct chain_parent *parent = d->ctx;
    struct loop_limits limits;
    Hr__Lineage *lineage;
    enum loop loop;
    enum rc rc;

    if (parent == NULL || parent->packet == NULL)
        return decide_create(d, message);
    limits = parent->limits;
    lineage = begin_lineage(parent, request->metadata, NULL, d->arena);
    loop_tighten(&limits, lineage->limits);
    loop = find_loop(parent, &limits, lineage);
    if (loop != LOOP_NONE)
        return refuse_loop(d, loop, &limits, lineage);
    rc = decide_create(d, message);
    d->packet->lineage = lineage;
    return rc;
}
