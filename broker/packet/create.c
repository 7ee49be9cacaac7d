// A new packet.
#include "broker/message/issues.h"
#include "broker/packet/decide.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"
#include "broker/packet/loop.h"

#define FORMAT_VERSION "1.0.0"

enum rc decide_hitl_fault(struct decision *d, const char *fault)
{
    struct issues issues = {.arena = d->arena};
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("hitl"));
    issue =
        issues_add(&issues, &path, "value_error", arena_printf(d->arena, "Value error, %s", fault));
    issue->ctx = text_of("{\"error\":{}}");
    return issues_to_problem(&issues, &d->problem);
}

enum rc decide_opened(struct decision *d)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    bool diverted = loop_is_diverted(d->packet);

    if (d->packet->status != HR__STATUS__STATUS_AWAITING_HUMAN || hitl == NULL ||
        hitl->has_requested_by_key)
        return RC_OK;
    if (!hitl_has_quorum(hitl, text_of(d->key_id)))
        return decide_hitl_fault(d, "quorum cannot be met: the API key that asks has no vote");
    // A checkpoint that an earlier version stored, or one put on a packet whose loop a human is to
    // judge.
    if (hitl->n_approve_options == 0 && (diverted || hitl_has_consequences(hitl)))
        return decide_hitl_fault(d, "approve_options is required: it names the answers that "
                                    "approve, and something depends on this one");
    return RC_OK;
}

enum rc decide_create(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__CreatePacket *request = (const Hr__CreatePacket *)message;
    Hr__Packet *packet = wire_new(d->arena, &hr__packet__descriptor);
    Hr__Metadata *metadata = request->metadata;
    bool held = request->hitl != NULL && request->hitl->required;
    enum rc rc;

    packet->has_id = true;
    packet->id = text_of(d->packet_id);
    packet->has_version = true;
    packet->version = text_of(FORMAT_VERSION);
    packet->has_parent_packet_id = request->has_parent_packet_id;
    packet->parent_packet_id = request->parent_packet_id;
    packet->metadata = metadata;
    packet->context = request->context;
    packet->n_decisions = request->n_decisions;
    packet->decisions = request->decisions;
    packet->actions = request->actions;
    packet->n_dependencies = request->n_dependencies;
    packet->dependencies = request->dependencies;
    packet->hitl = request->hitl;
    packet->extra = request->extra;
    packet->created_at = wire_timestamp(d->arena, d->now_us);
    packet->updated_at = packet->created_at;
    if (metadata->created_at == NULL)
        metadata->created_at = packet->created_at;
    metadata->addressed_to = metadata->target_agent;

    d->packet = packet;
    d->event_type = text_of("created");
    d->actor = text_prefixed(d->arena, "agent:", request->metadata->source_agent->id);
    d->details = text_of("{}");
    rc = lifecycle_step(packet, held ? MOVE_HOLD : MOVE_CREATE, d->now_us, d->arena);
    return rc == RC_OK ? decide_opened(d) : rc;
}
