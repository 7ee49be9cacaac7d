// What a holder may do with its claim, and how an agent says that it will not have a packet.
#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/lifecycle.h"

#define DECLINED_MAX 256 // agents a packet remembers

static enum rc stale(struct decision *d)
{
    return problem_set(&d->problem, d->arena, PROBLEM_STALE_CLAIM,
                       "Packet %s is not held under this claim", d->packet_id);
}

enum rc decide_lease(struct decision *d)
{
    const Hr__Claim *claim = d->packet->claim;

    if (claim == NULL || claim->lease_expires_at == NULL || claim->generation == d->claim)
        return RC_OK;
    return problem_set(&d->problem, d->arena, PROBLEM_STALE_CLAIM,
                       "Packet %s is held under a lease: only its holder may change it, with the "
                       "claim's generation in X-HR-Claim (HR-Claim on NATS)",
                       d->packet_id);
}

static bool is_held_by(const Hr__Packet *packet, bool has_agent, Text agent_id)
{
    return packet->claim != NULL && (!has_agent || text_equal(packet->claim->holder->id, agent_id));
}

enum rc decide_heartbeat(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__HeartbeatClaim *request = (const Hr__HeartbeatClaim *)message;
    Hr__Claim *claim;
    int64_t seconds;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    if (!is_held_by(d->packet, request->has_agent_id, request->agent_id))
        return stale(d);
    rc = decide_lease(d);
    if (rc != RC_OK)
        return rc;
    claim = d->packet->claim;
    if (!request->has_lease_seconds && !claim->has_lease_seconds) {
        d->unchanged = true; // held without a lease: there is nothing to lengthen
        return RC_OK;
    }
    seconds = request->has_lease_seconds ? request->lease_seconds : claim->lease_seconds;
    claim->has_lease_seconds = true;
    claim->lease_seconds = seconds;
    claim->lease_expires_at = wire_timestamp(d->arena, d->now_us + seconds * US_PER_SECOND);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->event_type = text_of("heartbeat");
    d->actor = text_prefixed(d->arena, "agent:", claim->holder->id);
    d->details = text_of(arena_printf(d->arena, "{\"lease_seconds\":%lld}", (long long)seconds));
    return RC_OK;
}

enum rc decide_release(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__ReleaseClaim *request = (const Hr__ReleaseClaim *)message;
    struct buf out = {0};
    struct json_writer *details;
    enum rc rc;

    if (d->packet == NULL)
        return decide_not_found(d);
    if (!is_held_by(d->packet, request->has_agent_id, request->agent_id))
        return stale(d);
    rc = decide_lease(d);
    if (rc != RC_OK)
        return rc;
    details = details_open(&out);
    details_put_text(details, "reason", request->has_reason, request->reason);
    d->details = details_close(details, d->arena);
    d->event_type = text_of("released");
    d->actor = text_prefixed(d->arena, "agent:", d->packet->claim->holder->id);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    return lifecycle_step(d->packet, MOVE_RETURN, d->now_us, d->arena);
}

static bool has_declined(const Hr__Packet *packet, Text agent_id)
{
    for (size_t i = 0; i < packet->n_declined; i++) {
        if (text_equal(packet->declined[i]->agent_id, agent_id))
            return true;
    }
    return false;
}

// Of very many, the first is forgotten.
static void add_decline(struct decision *d, const Hr__DeclinePacket *request)
{
    Hr__Packet *packet = d->packet;
    size_t skip = packet->n_declined >= DECLINED_MAX ? packet->n_declined - DECLINED_MAX + 1 : 0;
    size_t kept = packet->n_declined - skip;
    Hr__Decline **declined = arena_calloc(d->arena, kept + 1, sizeof(Hr__Decline *));
    Hr__Decline *decline = wire_new(d->arena, &hr__decline__descriptor);

    if (kept > 0)
        memcpy(declined, packet->declined + skip, kept * sizeof(Hr__Decline *));
    decline->has_agent_id = true;
    decline->agent_id = request->agent_id;
    decline->at = wire_timestamp(d->arena, d->now_us);
    decline->has_reason = request->has_reason;
    decline->reason = request->reason;
    declined[kept] = decline;
    packet->declined = declined;
    packet->n_declined = kept + 1;
}

// The sender has said who comes next, or what else is to happen.
static bool has_plan(const Hr__Metadata *metadata)
{
    return metadata->n_fallback_agents > 0 || metadata->has_on_unclaimed;
}

static Text decline_details(struct decision *d, const Hr__DeclinePacket *request)
{
    struct buf out = {0};
    struct json_writer *details = details_open(&out);

    details_put_text(details, "agent_id", true, request->agent_id);
    details_put_text(details, "reason", request->has_reason, request->reason);
    json_key(details, "addressed_to");
    if (d->packet->metadata->addressed_to != NULL)
        json_message(details, &d->packet->metadata->addressed_to->base);
    else
        json_null(details);
    return details_close(details, d->arena);
}

// One append: the packet comes back, the agent is noted, and the packet moves on.
enum rc decide_decline(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__DeclinePacket *request = (const Hr__DeclinePacket *)message;
    Hr__Packet *packet = d->packet;
    bool was_offered;
    enum rc rc;

    if (packet == NULL)
        return decide_not_found(d);
    if (packet->status != HR__STATUS__STATUS_CREATED &&
        !is_held_by(packet, true, request->agent_id))
        return stale(d);
    rc = decide_lease(d);
    if (rc != RC_OK)
        return rc;
    if (packet->status == HR__STATUS__STATUS_CREATED && has_declined(packet, request->agent_id)) {
        d->unchanged = true;
        return RC_OK;
    }
    if (packet->claim != NULL) {
        rc = lifecycle_step(packet, MOVE_RETURN, d->now_us, d->arena);
        if (rc != RC_OK)
            return rc;
    }
    add_decline(d, request);
    was_offered = packet->metadata->target_agent != NULL &&
                  text_equal(packet->metadata->target_agent->id, request->agent_id);
    packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->actor = text_prefixed(d->arena, "agent:", request->agent_id);
    if (was_offered && has_plan(packet->metadata)) {
        rc = decide_move_on(d, "declined");
        if (rc != RC_OK)
            return rc;
    }
    d->event_type = text_of("declined");
    d->details = decline_details(d, request);
    return RC_OK;
}
