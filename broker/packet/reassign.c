// Addresses a packet to another agent: because somebody who may says so, or because the agent it
// was addressed to does not take it.
#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/lifecycle.h"

static void put_readdressing(struct decision *d, struct json_writer *details,
                             Hr__TargetAgent *agent)
{
    Hr__Metadata *metadata = d->packet->metadata;

    json_key(details, "from");
    if (metadata->target_agent != NULL)
        json_message(details, &metadata->target_agent->base);
    else
        json_null(details);
    json_key(details, "to");
    json_message(details, &agent->base);
    d->event_type = text_of("reassigned");
    metadata->addressed_to = agent;
    metadata->target_agent = agent;
    if (metadata->has_claim_by_seconds)
        metadata->claim_by =
            wire_timestamp(d->arena, d->now_us + metadata->claim_by_seconds * US_PER_SECOND);
}

void decide_readdress(struct decision *d, Hr__TargetAgent *agent, const char *reason)
{
    struct buf out = {0};
    struct json_writer *details = details_open(&out);

    details_put(details, "reason", reason);
    put_readdressing(d, details, agent);
    d->details = details_close(details, d->arena);
}

// Who is asked for by name has not declined for good.
static void forget_decline(Hr__Packet *packet, Text agent_id)
{
    size_t kept = 0;

    for (size_t i = 0; i < packet->n_declined; i++) {
        if (!text_equal(packet->declined[i]->agent_id, agent_id))
            packet->declined[kept++] = packet->declined[i];
    }
    packet->n_declined = kept;
}

static enum rc refuse_status(struct decision *d)
{
    char name[ENUM_TEXT_BYTES];

    if (d->packet->status == HR__STATUS__STATUS_AWAITING_HUMAN)
        return problem_set(&d->problem, d->arena, PROBLEM_AWAITING_HUMAN,
                           "Packet %s waits for a human and cannot be reassigned", d->packet_id);
    return problem_set(&d->problem, d->arena, PROBLEM_FINISHED,
                       "Packet %s is %s and cannot be reassigned", d->packet_id,
                       lifecycle_name(name, d->packet->status));
}

// A claim ends with its lease, no matter who holds it: its old generation is stale from now on.
static enum rc end_claim(struct decision *d, struct json_writer *details)
{
    Hr__Claim *claim = d->packet->claim;

    if (claim == NULL)
        return RC_OK;
    json_key(details, "ended_claim");
    json_object_open(details);
    details_put_text(details, "holder", true, claim->holder->id);
    json_key(details, "generation");
    json_integer(details, (long long)claim->generation);
    json_key(details, "lease");
    json_bool(details, claim->lease_expires_at != NULL);
    json_object_close(details);
    return lifecycle_step(d->packet, MOVE_RETURN, d->now_us, d->arena);
}

enum rc decide_reassign(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__ReassignPacket *request = (const Hr__ReassignPacket *)message;
    Hr__TargetAgent *agent = wire_new(d->arena, &hr__target_agent__descriptor);
    struct buf out = {0};
    struct json_writer *details;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    if (d->packet->status != HR__STATUS__STATUS_CREATED &&
        d->packet->status != HR__STATUS__STATUS_CLAIMED &&
        d->packet->status != HR__STATUS__STATUS_IN_PROGRESS)
        return refuse_status(d);
    agent->has_id = true;
    agent->id = request->agent_id;
    agent->has_name = true;
    agent->name = request->has_agent_name ? request->agent_name : request->agent_id;
    details = details_open(&out);
    details_put_text(details, "reason", request->has_reason, request->reason);
    rc = end_claim(d, details);
    put_readdressing(d, details, agent);
    d->details = details_close(details, d->arena);
    if (rc != RC_OK)
        return refuse_status(d);
    forget_decline(d->packet, request->agent_id);
    d->actor = text_of(arena_printf(d->arena, "key:%s", d->key_id));
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    return RC_OK;
}
