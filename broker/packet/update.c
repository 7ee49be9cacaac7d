// Changing a packet, and deleting it.
#include "broker/message/extra.h"
#include "broker/message/issues.h"
#include "broker/message/json_write.h"
#include "broker/message/rules.h"
#include "broker/message/text_set.h"
#include "broker/packet/carry.h"
#include "broker/packet/decide.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"
#include "broker/packet/loop.h"

enum rc decide_not_found(struct decision *d)
{
    return problem_set(&d->problem, d->arena, PROBLEM_NOT_FOUND, "Packet %s not found",
                       d->packet_id);
}

static enum rc refuse_status(struct decision *d, Hr__Status to)
{
    Hr__Status from = d->packet->status;
    char from_name[ENUM_TEXT_BYTES];
    char to_name[ENUM_TEXT_BYTES];

    if (from == HR__STATUS__STATUS_AWAITING_HUMAN &&
        (to == HR__STATUS__STATUS_CLAIMED || to == HR__STATUS__STATUS_IN_PROGRESS))
        return problem_set(&d->problem, d->arena, PROBLEM_AWAITING_HUMAN,
                           "Packet %s awaits a human answer and cannot be %s before it",
                           d->packet_id, lifecycle_name(to_name, to));
    return problem_set(&d->problem, d->arena, PROBLEM_ILLEGAL_TRANSITION,
                       "Cannot transition from '%s' to '%s'. Allowed transitions from '%s': %s",
                       lifecycle_name(from_name, from), lifecycle_name(to_name, to), from_name,
                       lifecycle_choices(from, d->arena));
}

// The agent a change is put down to: whoever the packet is with.
static Text holder_actor(struct decision *d)
{
    const Hr__TargetAgent *target = d->packet->metadata->target_agent;

    if (target == NULL)
        return text_of("system");
    return text_prefixed(d->arena, "agent:", target->id);
}

static enum rc refuse_count(struct decision *d, size_t count)
{
    struct issues issues = {.arena = d->arena};
    struct path path = {0};

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("decisions"));
    issues_add_count(&issues, &path, false, LIST_MAX, count);
    return issues_to_problem(&issues, &d->problem);
}

// By id: the place of one that is stored already is taken by the one that is sent.
static enum rc merge_decisions(struct decision *d, const Hr__DecisionList *sent)
{
    Hr__Packet *packet = d->packet;
    size_t stored = packet->n_decisions;
    Hr__Decision **merged = arena_calloc(d->arena, stored + sent->n_items, sizeof(Hr__Decision *));
    struct text_set places = {.arena = d->arena};
    size_t count = stored;

    for (size_t i = 0; i < stored; i++) {
        merged[i] = packet->decisions[i];
        text_set_put(&places, merged[i]->id, i);
    }
    for (size_t i = 0; i < sent->n_items; i++) {
        size_t at = count;

        if (!text_set_get(&places, sent->items[i]->id, &at))
            count++;
        merged[at] = sent->items[i];
    }
    // What an earlier version stored may be longer, and must not grow any more.
    if (count > LIST_MAX && count > stored)
        return refuse_count(d, count);
    packet->decisions = merged;
    packet->n_decisions = count;
    return RC_OK;
}

static enum rc merge_extra(struct decision *d, Hr__Json **stored, const Hr__Json *sent)
{
    struct issues issues = {.arena = d->arena};
    struct path path = {0};
    enum rc rc = extra_merge(stored, sent, d->arena);

    if (rc == RC_CORRUPT)
        return problem_of_rc(&d->problem, d->arena, rc);
    if (rc == RC_OK)
        return RC_OK;
    path_push_name(&path, text_of("body"));
    (void)issues_add(&issues, &path, "too_many_members",
                     "Object should have at most 1000 unknown members");
    return issues_to_problem(&issues, &d->problem);
}

static void replace_actions(Hr__Packet *packet, const Hr__ActionsUpdate *sent)
{
    Hr__Actions *actions = packet->actions;

    if (sent->pending != NULL) {
        actions->n_pending = sent->pending->n_items;
        actions->pending = sent->pending->items;
    }
    if (sent->completed != NULL) {
        actions->n_completed = sent->completed->n_items;
        actions->completed = sent->completed->items;
    }
    if (sent->failed != NULL) {
        actions->n_failed = sent->failed->n_items;
        actions->failed = sent->failed->items;
    }
}

// Whoever replaces a part has seen what was taken over into it, and sends it along or does not want
// it. Decisions are merged, so theirs go on coming from the ancestors.
static void stop_carrying(Hr__Packet *packet, const Hr__UpdatePacket *sent, struct arena *arena)
{
    unsigned parts = 0;

    if (sent->context != NULL)
        parts |= CARRY_CONTEXT;
    if (sent->actions != NULL && sent->actions->pending != NULL)
        parts |= CARRY_PENDING_ACTIONS;
    if (sent->dependencies != NULL)
        parts |= CARRY_DEPENDENCIES;
    if (parts != 0)
        carry_drop(packet->lineage, parts, arena);
}

static enum rc merge(struct decision *d, const Hr__UpdatePacket *sent)
{
    Hr__Packet *packet = d->packet;
    enum rc rc = RC_OK;

    stop_carrying(packet, sent, d->arena);
    if (sent->context != NULL)
        packet->context = sent->context;
    if (sent->decisions != NULL)
        rc = merge_decisions(d, sent->decisions);
    if (sent->actions != NULL) {
        replace_actions(packet, sent->actions);
        if (rc == RC_OK)
            rc = merge_extra(d, &packet->actions->extra, sent->actions->extra);
    }
    if (sent->dependencies != NULL) {
        packet->n_dependencies = sent->dependencies->n_items;
        packet->dependencies = sent->dependencies->items;
    }
    if (sent->hitl != NULL)
        packet->hitl = sent->hitl;
    if (rc == RC_OK)
        rc = merge_extra(d, &packet->extra, sent->extra);
    return rc;
}

// A change of status says from where to where; the parts that were sent are named beside it if
// there are any.
static Text details(struct decision *d, Hr__Status from, const Hr__UpdatePacket *sent)
{
    const struct {
        const char *name;
        bool sent;
    } parts[] = {
        {"context",      sent->context != NULL     },
        {"decisions",    sent->decisions != NULL   },
        {"actions",      sent->actions != NULL     },
        {"dependencies", sent->dependencies != NULL},
        {"hitl",         sent->hitl != NULL        },
        {"extra",        sent->extra != NULL       },
    };
    size_t count = 0;
    bool moved = d->packet->status != from;
    char name[ENUM_TEXT_BYTES];
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    Text text;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        count += parts[i].sent;
    json_object_open(writer);
    if (moved) {
        json_key(writer, "from_status");
        json_string(writer, lifecycle_name(name, from));
        json_key(writer, "to_status");
        json_string(writer, lifecycle_name(name, d->packet->status));
    }
    if (!moved || count > 0) {
        json_key(writer, "fields");
        json_array_open(writer);
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            if (parts[i].sent)
                json_string(writer, parts[i].name);
        }
        json_array_close(writer);
    }
    json_object_close(writer);
    text = json_writer_finish(writer, d->arena);
    return text;
}

enum rc decide_subject(struct decision *d, bool has_digest, Text digest)
{
    const Hr__Hitl *hitl = d->packet->hitl;

    if (!has_digest)
        return RC_OK;
    if (hitl == NULL || !hitl_is_approved(hitl))
        return problem_set(&d->problem, d->arena, PROBLEM_SUBJECT_MISMATCH,
                           "What is about to be done was not approved in packet %s", d->packet_id);
    if (hitl->has_subject_digest && text_equal(hitl->subject_digest, digest))
        return RC_OK;
    return problem_set(&d->problem, d->arena, PROBLEM_SUBJECT_MISMATCH,
                       "What is about to be done is not what was approved in packet %s",
                       d->packet_id);
}

// Of an open checkpoint that an earlier version stored: no answer to it can be understood.
static bool must_be_asked_again(const Hr__Packet *packet)
{
    return hitl_verdict(packet->hitl, loop_is_diverted(packet), text_of("")) == HITL_UNDECIDED;
}

// An approval must not be changed into another one: a checkpoint that binds can be replaced only
// before it is opened, or to open it again.
static enum rc check_checkpoint(struct decision *d, const Hr__UpdatePacket *request)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    bool open = d->packet->status == HR__STATUS__STATUS_AWAITING_HUMAN;
    bool asks = request->has_status && request->status == HR__STATUS__STATUS_AWAITING_HUMAN;

    if (request->hitl == NULL || hitl == NULL ||
        (!hitl_is_guarded(hitl) && !loop_is_diverted(d->packet)) ||
        (!open && (asks || !hitl->has_response)) || (open && must_be_asked_again(d->packet)))
        return RC_OK;
    return problem_set(&d->problem, d->arena, PROBLEM_CHECKPOINT_OPEN,
                       open ? "The checkpoint of packet %s is open and cannot be replaced"
                            : "The checkpoint of packet %s is answered; it can be replaced only "
                              "by asking again",
                       d->packet_id);
}

static enum rc check_status(struct decision *d, const Hr__UpdatePacket *request, enum move *move)
{
    *move = MOVES;
    if (!request->has_status || request->status == d->packet->status)
        return RC_OK;
    if (lifecycle_move_to(request->status, move) && lifecycle_allows(d->packet->status, *move))
        return RC_OK;
    return refuse_status(d, request->status);
}

// After the merge: the move may open the very checkpoint that was sent.
static enum rc make_move(struct decision *d, const Hr__UpdatePacket *request, enum move move)
{
    char name[ENUM_TEXT_BYTES];

    if (move != MOVES) {
        (void)lifecycle_name(name, request->status);
        d->event_type = text_copy(d->arena, name, strlen(name));
        return lifecycle_step(d->packet, move, d->now_us, d->arena);
    }
    // A new question at an open checkpoint: its clocks begin anew.
    if (request->hitl != NULL && d->packet->status == HR__STATUS__STATUS_AWAITING_HUMAN)
        hitl_open(d->packet->hitl, d->now_us, d->arena);
    return RC_OK;
}

enum rc decide_update(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__UpdatePacket *request = (const Hr__UpdatePacket *)message;
    Hr__Status from;
    enum move move;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    rc = decide_lease(d);
    if (rc == RC_OK)
        rc = check_status(d, request, &move);
    if (rc == RC_OK)
        rc = check_checkpoint(d, request);
    if (rc == RC_OK)
        rc = decide_subject(d, request->has_subject_digest, request->subject_digest);
    if (rc != RC_OK)
        return rc;
    from = d->packet->status;
    d->event_type = text_of("updated");
    d->actor = holder_actor(d);
    rc = merge(d, request);
    if (rc == RC_OK)
        rc = make_move(d, request, move);
    if (rc == RC_OK)
        rc = decide_opened(d);
    if (rc != RC_OK)
        return rc;
    d->details = details(d, from, request);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    return RC_OK;
}

enum rc decide_complete(struct decision *d, const ProtobufCMessage *request)
{
    const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)request;
    char name[ENUM_TEXT_BYTES];
    Hr__Status from;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    from = d->packet->status;
    rc = decide_lease(d);
    if (rc == RC_OK)
        rc = decide_subject(d, update->has_subject_digest, update->subject_digest);
    if (rc != RC_OK)
        return rc;
    if (lifecycle_step(d->packet, MOVE_COMPLETE, d->now_us, d->arena) != RC_OK)
        return problem_set(&d->problem, d->arena, PROBLEM_ILLEGAL_TRANSITION,
                           "Cannot complete from status '%s'", lifecycle_name(name, from));
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->event_type = text_of("completed");
    d->actor = text_of("system:batch_complete");
    d->details =
        text_of(arena_printf(d->arena, "{\"from_status\":\"%s\"}", lifecycle_name(name, from)));
    return RC_OK;
}

enum rc decide_delete(struct decision *d, const ProtobufCMessage *request)
{
    char name[ENUM_TEXT_BYTES];
    Hr__Status from;
    bool ends_lease;

    (void)request;
    if (d->packet == NULL)
        return decide_not_found(d);
    from = d->packet->status;
    ends_lease = d->packet->claim != NULL && d->packet->claim->lease_expires_at != NULL;
    if (lifecycle_step(d->packet, MOVE_EXPIRE, d->now_us, d->arena) != RC_OK)
        return problem_set(&d->problem, d->arena, PROBLEM_ALREADY_EXPIRED,
                           "Packet %s is already expired", d->packet_id);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->event_type = text_of("expired");
    d->actor = text_of("system:soft_delete");
    d->details =
        text_of(arena_printf(d->arena, "{\"previous_status\":\"%s\",\"reason\":\"soft_delete\"%s}",
                             lifecycle_name(name, from), ends_lease ? ",\"lease\":\"ended\"" : ""));
    return RC_OK;
}
