// The JSON that is hashed is the JSON that packet.context answers with: one writer makes both.
#include "broker/packet/own_content.h"

#include "broker/base/digest.h"
#include "broker/message/json_write.h"
#include "broker/packet/carry.h"

Hr__OwnPart *own_part_of(const Hr__Packet *packet, Text event_id, struct arena *arena)
{
    Hr__OwnPart *part = wire_new(arena, &hr__own_part__descriptor);

    part->has_packet_id = true;
    part->packet_id = packet->id;
    part->has_event_id = true;
    part->event_id = event_id;
    part->context = packet->context;
    part->n_decisions = packet->n_decisions;
    part->decisions = packet->decisions;
    part->actions = packet->actions;
    part->n_dependencies = packet->n_dependencies;
    part->dependencies = packet->dependencies;
    return part;
}

static Text digest_part(const Hr__OwnPart *part, bool known_only, struct arena *arena,
                        int64_t *bytes)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    char *hex = arena_alloc(arena, DIGEST_HEX_BYTES);
    uint8_t digest[DIGEST_BYTES];

    if (known_only)
        json_writer_known_only(writer);
    json_message(writer, &part->base);
    json_writer_destroy(writer);
    *bytes = (int64_t)out.len;
    digest_of(digest, out.data, out.len);
    buf_fini(&out); // not in the arena: nobody wants the text itself
    hex_format(hex, digest, sizeof digest);
    return text_of(hex);
}

Text own_part_digest(const Hr__OwnPart *part, struct arena *arena, int64_t *bytes)
{
    return digest_part(part, false, arena, bytes);
}

bool own_part_is(const Hr__OwnPart *part, Text sha256, struct arena *arena)
{
    int64_t bytes;

    return text_equal(digest_part(part, false, arena, &bytes), sha256) ||
           text_equal(digest_part(part, true, arena, &bytes), sha256);
}

Hr__AncestorRef *own_part_ref(const Hr__Packet *packet, uint64_t sequence, Text event_id,
                              struct arena *arena)
{
    Hr__AncestorRef *ref = wire_new(arena, &hr__ancestor_ref__descriptor);

    ref->has_packet_id = true;
    ref->packet_id = packet->id;
    ref->has_sequence = true;
    ref->sequence = sequence;
    ref->has_event_id = true;
    ref->event_id = event_id;
    ref->has_sha256 = true;
    ref->has_bytes = true;
    ref->sha256 = own_part_digest(own_part_of(packet, event_id, arena), arena, &ref->bytes);
    ref->has_entries = true;
    ref->entries = packet->context != NULL ? (int64_t)packet->context->n_conversation_state : 0;
    if (packet->lineage != NULL &&
        carry_of(packet->lineage->carry, packet->lineage->n_carry) != CARRY_ALL) {
        ref->carry = wire_new(arena, &hr__string_list__descriptor);
        ref->carry->n_items = packet->lineage->n_carry;
        ref->carry->items = packet->lineage->carry;
    }
    return ref;
}
