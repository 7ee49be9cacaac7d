// A new packet.
#include "broker/packet/decide.h"
#include "broker/packet/lifecycle.h"

#define FORMAT_VERSION "1.0.0"

enum rc decide_create(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__CreatePacket *request = (const Hr__CreatePacket *)message;
    Hr__Packet *packet = wire_new(d->arena, &hr__packet__descriptor);
    Hr__Metadata *metadata = request->metadata;
    bool held = request->hitl != NULL && request->hitl->required;

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
    packet->created_at = wire_timestamp(d->arena, d->now_us);
    packet->updated_at = packet->created_at;
    if (metadata->created_at == NULL)
        metadata->created_at = packet->created_at;
    metadata->addressed_to = metadata->target_agent;

    d->packet = packet;
    d->event_type = text_of("created");
    d->actor = text_prefixed(d->arena, "agent:", request->metadata->source_agent->id);
    d->details = text_of("{}");
    return lifecycle_step(packet, held ? MOVE_HOLD : MOVE_CREATE, d->now_us, d->arena);
}
