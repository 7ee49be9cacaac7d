// Taking a packet. That exactly one claimer wins is not decided here but by the conditional append;
// this says who may try.
#include "broker/message/json_write.h"
#include "broker/packet/decide.h"
#include "broker/packet/lifecycle.h"

static enum rc already_claimed(struct decision *d)
{
    Hr__Claim *claim = d->packet->claim;
    Hr__TargetAgent *holder = claim != NULL ? claim->holder : d->packet->metadata->target_agent;
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    Text detail;

    json_object_open(writer);
    json_key(writer, "message");
    json_string(writer, arena_printf(d->arena, "Packet %s is already claimed", d->packet_id));
    json_key(writer, "claimed_by");
    json_message(writer, &holder->base);
    json_object_close(writer);
    detail = json_writer_finish(writer, d->arena);
    return problem_set_json(&d->problem, PROBLEM_ALREADY_CLAIMED, detail);
}

static enum rc refuse(struct decision *d)
{
    Hr__Status status = d->packet->status;
    char name[ENUM_TEXT_BYTES];

    switch (status) {
    case HR__STATUS__STATUS_CLAIMED:
        return already_claimed(d);
    case HR__STATUS__STATUS_AWAITING_HUMAN:
        return problem_set(&d->problem, d->arena, PROBLEM_AWAITING_HUMAN,
                           "Packet %s awaits a human answer and cannot be claimed before it",
                           d->packet_id);
    case HR__STATUS__STATUS_EXPIRED:
        return problem_set(&d->problem, d->arena, PROBLEM_EXPIRED, "Packet %s has expired",
                           d->packet_id);
    default:
        return problem_set(&d->problem, d->arena, PROBLEM_ILLEGAL_TRANSITION,
                           "Cannot transition from '%s' to 'claimed'. Allowed transitions from "
                           "'%s': %s",
                           lifecycle_name(name, status), name, lifecycle_choices(status, d->arena));
    }
}

static Hr__TargetAgent *claimer(const Hr__ClaimPacket *request, struct arena *arena)
{
    Hr__TargetAgent *agent = wire_new(arena, &hr__target_agent__descriptor);

    agent->has_id = true;
    agent->id = request->agent_id;
    agent->has_name = true;
    agent->name = request->agent_name;
    agent->has_framework = request->has_framework;
    agent->framework = request->framework;
    return agent;
}

static Text details(const Hr__ClaimPacket *request, struct arena *arena)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    Text text;

    json_object_open(writer);
    json_key(writer, "agent_name");
    json_text(writer, request->agent_name);
    json_key(writer, "framework");
    if (request->has_framework)
        json_text(writer, request->framework);
    else
        json_null(writer);
    json_object_close(writer);
    text = json_writer_finish(writer, arena);
    return text;
}

// An answer holds the packet for this agent: it takes what is its own already. True also when it
// has done so before.
static bool is_reserved_for(const Hr__Packet *packet, Text agent_id)
{
    return packet->status == HR__STATUS__STATUS_CLAIMED && packet->claim != NULL &&
           packet->claim->has_reserved && text_equal(packet->claim->holder->id, agent_id);
}

static enum rc may_claim(struct decision *d, const Hr__ClaimPacket *request)
{
    const Hr__Metadata *metadata = d->packet->metadata;

    if (is_reserved_for(d->packet, request->agent_id))
        return RC_OK;
    if (!lifecycle_allows(d->packet->status, MOVE_CLAIM))
        return refuse(d);
    if (metadata->claim_policy == HR__CLAIM_POLICY__CLAIM_POLICY_ADDRESSED &&
        metadata->addressed_to != NULL &&
        !text_equal(metadata->addressed_to->id, request->agent_id))
        return problem_set(&d->problem, d->arena, PROBLEM_NOT_ADDRESSED,
                           "Packet %s may be claimed only by the agent it is addressed to",
                           d->packet_id);
    return RC_OK;
}

static void set_lease(struct decision *d, const Hr__ClaimPacket *request)
{
    Hr__Claim *claim = d->packet->claim;

    if (!request->has_lease_seconds)
        return;
    claim->has_lease_seconds = true;
    claim->lease_seconds = request->lease_seconds;
    claim->lease_expires_at =
        wire_timestamp(d->arena, d->now_us + request->lease_seconds * US_PER_SECOND);
}

// A claim of its own instead of the reservation: this append is its generation.
static void take_reserved(struct decision *d)
{
    Hr__Claim *claim = d->packet->claim;

    claim->holder = d->packet->metadata->target_agent;
    claim->reserved = false;
    claim->has_generation = false;
    claim->claimed_at = wire_timestamp(d->arena, d->now_us);
    d->packet->metadata->claimed_at = claim->claimed_at;
}

enum rc decide_claim(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__ClaimPacket *request = (const Hr__ClaimPacket *)message;
    bool reserved;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    rc = may_claim(d, request);
    if (rc == RC_OK)
        rc = decide_subject(d, request->has_subject_digest, request->subject_digest);
    if (rc != RC_OK)
        return rc;
    reserved = d->packet->status == HR__STATUS__STATUS_CLAIMED;
    if (reserved && !d->packet->claim->reserved) {
        d->unchanged = true;
        return RC_OK;
    }
    d->packet->metadata->target_agent = claimer(request, d->arena);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->event_type = text_of("claimed");
    d->actor = text_prefixed(d->arena, "agent:", request->agent_id);
    d->details = details(request, d->arena);
    if (reserved)
        take_reserved(d);
    else
        rc = lifecycle_step(d->packet, MOVE_CLAIM, d->now_us, d->arena);
    if (rc == RC_OK)
        set_lease(d, request);
    return rc;
}

enum rc decide_batch_claim(struct decision *d, const ProtobufCMessage *claim_packet)
{
    char name[ENUM_TEXT_BYTES];
    enum rc rc = decide_claim(d, claim_packet);

    if (rc != RC_REFUSED)
        return rc;
    if (d->problem.code == PROBLEM_ALREADY_CLAIMED)
        return problem_set(&d->problem, d->arena, PROBLEM_ALREADY_CLAIMED,
                           "Already claimed by %.*s",
                           TEXT_ARGS(d->packet->metadata->target_agent->id));
    if (d->problem.code == PROBLEM_ILLEGAL_TRANSITION || d->problem.code == PROBLEM_AWAITING_HUMAN)
        return problem_set(&d->problem, d->arena, d->problem.code, "Cannot claim from status '%s'",
                           lifecycle_name(name, d->packet->status));
    return rc;
}
