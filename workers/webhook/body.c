// Filters, the body, and the delivery's id, which is made of hook and event: a second try has the
// same.
#include "workers/webhook/body.h"

#include "broker/base/digest.h"
#include "broker/message/json_write.h"

static bool has(Text *const items, size_t count, Text wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(items[i], wanted))
            return true;
    }
    return false;
}

static bool has_event(const Hr__Hook *hook, const char *name)
{
    return name != NULL && (has(hook->events, hook->n_events, text_of("*")) ||
                            has(hook->events, hook->n_events, text_of(name)));
}

static bool is_agent(const Hr__Hook *hook, const Hr__TargetAgent *agent)
{
    return agent != NULL && has(hook->agents, hook->n_agents, agent->id);
}

static bool has_agent(const Hr__Hook *hook, const Hr__Metadata *metadata)
{
    if (hook->n_agents == 0)
        return true;
    return metadata != NULL &&
           ((metadata->source_agent != NULL &&
             has(hook->agents, hook->n_agents, metadata->source_agent->id)) ||
            is_agent(hook, metadata->target_agent) || is_agent(hook, metadata->addressed_to));
}

static bool has_tag(const Hr__Hook *hook, const Hr__Metadata *metadata)
{
    if (hook->n_tags == 0)
        return true;
    for (size_t i = 0; metadata != NULL && i < metadata->n_tags; i++) {
        if (has(hook->tags, hook->n_tags, metadata->tags[i]))
            return true;
    }
    return false;
}

const char *body_wanted(const Hr__Hook *hook, const Hr__PacketRecord *record)
{
    struct heard heard;
    const char *name;

    if (!heard_as(&heard, record))
        return NULL;
    name = has_event(hook, heard.name) ? heard.name : NULL;
    if (name == NULL && has_event(hook, heard.also))
        name = heard.also;
    if (name == NULL || !has_agent(hook, record->packet->metadata) ||
        !has_tag(hook, record->packet->metadata))
        return NULL;
    return name;
}

Text body_of(struct arena *arena, const char *event, const Hr__PacketRecord *record)
{
    const Hr__Packet *packet = record->packet;
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    char status[ENUM_TEXT_BYTES];
    char at[TIMESTAMP_TEXT_BYTES];

    timestamp_format(at, wire_timestamp_us(record->event->at));
    json_object_open(writer);
    json_key(writer, "event");
    json_string(writer, event);
    json_key(writer, "timestamp");
    json_string(writer, at);
    json_key(writer, "packet_id");
    json_text(writer, packet->id);
    json_key(writer, "status");
    if (wire_enum_text(status, &hr__status__descriptor, (int)packet->status) != NULL)
        json_string(writer, status);
    else
        json_null(writer);
    json_key(writer, "metadata");
    if (packet->metadata != NULL) {
        json_message(writer, &packet->metadata->base);
    } else {
        json_object_open(writer);
        json_object_close(writer);
    }
    if (record->event->details != NULL && record->event->details->text.len > 2) { // not {}
        json_key(writer, "details");
        json_raw(writer, record->event->details->text.data, record->event->details->text.len);
    }
    json_object_close(writer);
    return json_writer_finish(writer, arena);
}

struct uuid body_delivery_id(const char *hook_id, Text event_id)
{
    const struct piece pieces[] = {
        {"delivery",    8              },
        {hook_id,       strlen(hook_id)},
        {event_id.data, event_id.len   },
    };
    uint8_t digest[DIGEST_BYTES];

    digest_of_pieces(digest, pieces, 3);
    return uuid_from_digest(digest);
}
