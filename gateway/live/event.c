// An event is one block that all its listeners share; the texts stand behind the struct.
#include "gateway/live/event.h"

#include "broker/base/log.h"
#include "broker/message/json_write.h"
#include "broker/nats/subjects.h"
#include "broker/packet/event_names.h"
#include "broker/packet/lifecycle.h"
#include "broker/packet/summary.h"
#include "broker/rail/store.h"

#include <stdlib.h>

static Text write_envelope(struct arena *arena, const struct heard *heard,
                           const struct stored *stored)
{
    const Hr__PacketRecord *record = stored->record;
    const Hr__Packet *packet = record->packet;
    Hr__LiveEvent *event = wire_new(arena, &hr__live_event__descriptor);
    Hr__LiveData *data = wire_new(arena, &hr__live_data__descriptor);

    data->has_status = true;
    data->status = packet->status;
    data->metadata = packet->metadata;
    data->has_parent_packet_id = packet->has_parent_packet_id;
    data->parent_packet_id = packet->parent_packet_id;
    if (strcmp(heard->name, "hitl.response_ready") == 0 && packet->hitl != NULL) {
        data->has_hitl_response = packet->hitl->has_response;
        data->hitl_response = packet->hitl->response;
    }
    event->has_type = true;
    event->type = text_of(heard->name);
    event->has_also = heard->also != NULL;
    if (event->has_also)
        event->also = text_of(heard->also);
    event->has_packet_id = true;
    event->packet_id = packet->id;
    event->data = data;
    event->timestamp = record->event->at;
    event->has_seq = true;
    event->seq = stored->sequence;
    return json_of_message(arena, &event->base);
}

// Moves text into the block at *at.
static Text keep(uint8_t **at, Text text)
{
    Text kept = {text.len, *at};

    if (text.len > 0)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return kept;
}

static struct live_event *make(const struct heard *heard, const struct stored *stored,
                               struct arena *scratch)
{
    const Hr__Packet *packet = stored->record->packet;
    const Hr__Metadata *metadata = packet->metadata;
    char buffer[ENUM_TEXT_BYTES];
    struct live_event view = {
        .sequence = stored->sequence,
        .name = heard->name,
        .status = text_of(lifecycle_name(buffer, packet->status)),
        .packet_id = packet->id,
        .envelope = write_envelope(scratch, heard, stored),
    };
    struct live_event *event;
    uint8_t *at;

    if (metadata != NULL && metadata->source_agent != NULL)
        view.source = metadata->source_agent->id;
    if (metadata != NULL && metadata->target_agent != NULL)
        view.target = metadata->target_agent->id;
    event = malloc(sizeof *event + view.status.len + view.packet_id.len + view.source.len +
                   view.target.len + view.envelope.len);
    if (event == NULL)
        abort();
    at = (uint8_t *)(event + 1);
    *event = view;
    event->status = keep(&at, view.status);
    event->packet_id = keep(&at, view.packet_id);
    event->source = keep(&at, view.source);
    event->target = keep(&at, view.target);
    event->envelope = keep(&at, view.envelope);
    return event;
}

struct live_event *live_event_read(struct msg *msg, uint64_t sequence, struct arena *scratch)
{
    struct live_event *event = NULL;
    struct stored stored;
    struct heard heard;
    Text head;

    if (msg_header(msg, HEADER_RESTORED) != NULL)
        return NULL; // an old one, put back into a stream that had lost it
    head = head_of(scratch, msg_data(msg), msg_len(msg));
    if (stored_read(&stored, scratch, head.data, head.len, sequence) != RC_OK)
        log_error("live.corrupt", "subject=%.200s", msg_subject(msg));
    else if (heard_as(&heard, stored.record))
        event = make(&heard, &stored, scratch);
    arena_reset(scratch);
    return event;
}

size_t live_event_bytes(const struct live_event *event)
{
    return sizeof *event + event->envelope.len;
}
