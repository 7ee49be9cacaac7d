// A hint is sent without waiting for an answer: an agent that misses it finds the packet all the
// same.
#include "broker/rail/inbox.h"

#include "broker/base/log.h"
#include "broker/message/json_write.h"
#include "broker/nats/subjects.h"

#define ARENA_BYTES 1024

Text inbox_agent(const Hr__PacketRecord *record)
{
    const Hr__Packet *packet = record->packet;
    const Hr__Metadata *metadata = packet->metadata;
    bool is_open = packet->status == HR__STATUS__STATUS_CREATED;
    bool is_reserved =
        packet->claim != NULL && packet->claim->has_reserved && packet->claim->reserved;

    if ((!is_open && !is_reserved) || text_is(record->event->type, "updated"))
        return (Text){0, NULL};
    return metadata != NULL && metadata->target_agent != NULL ? metadata->target_agent->id
                                                              : (Text){0, NULL};
}

static Text write_hint(struct arena *arena, const struct stored *stored)
{
    const Hr__Packet *packet = stored->record->packet;
    Hr__InboxHint *hint = wire_new(arena, &hr__inbox_hint__descriptor);

    hint->has_packet_id = true;
    hint->packet_id = packet->id;
    hint->has_seq = true;
    hint->seq = stored->sequence;
    hint->has_event = true;
    hint->event = stored->record->event->type;
    hint->has_priority = packet->metadata->has_priority;
    hint->priority = packet->metadata->priority;
    return json_of_message(arena, &hint->base);
}

void inbox_tell(struct store *store, const char *tenant, const struct stored *stored)
{
    static const struct header headers[] = {
        {HEADER_CONTENT_TYPE, TYPE_JSON}
    };
    Text agent = inbox_agent(stored->record);
    char subject[SUBJECT_BYTES];
    struct arena *arena;
    Text hint;

    if (!token_is_safe((const char *)agent.data, agent.len))
        return;
    arena = arena_create(ARENA_BYTES);
    subject_inbox(subject, tenant, arena_copy(arena, agent.data, agent.len));
    hint = write_hint(arena, stored);
    if (conn_publish(requests_conn(store_requests(store)), subject, NULL, headers, 1, hint.data,
                     hint.len) != RC_OK)
        log_debug("inbox.lost", "subject=%s", subject);
    arena_destroy(arena);
}
