// A finished packet leaves the stream: what stays is a stub, forever. It keeps the id from being
// used again, answers a repeated command, and says that the packet is to be read from Postgres.
#include "broker/packet/decide.h"

static Hr__TargetAgent *stub_target(const Hr__TargetAgent *agent, struct arena *arena)
{
    Hr__TargetAgent *stub = wire_new(arena, &hr__target_agent__descriptor);

    stub->has_id = true;
    stub->id = agent != NULL ? agent->id : text_of("");
    stub->has_name = true;
    stub->name = text_of("");
    return stub;
}

static Hr__SourceAgent *stub_source(const Hr__SourceAgent *agent, struct arena *arena)
{
    Hr__SourceAgent *stub = wire_new(arena, &hr__source_agent__descriptor);

    stub->has_id = true;
    stub->id = agent != NULL ? agent->id : text_of("");
    stub->has_name = true;
    stub->name = text_of("");
    return stub;
}

enum rc decide_archive(struct decision *d)
{
    const Hr__Packet *whole = d->packet;
    Hr__Packet *stub = wire_new(d->arena, &hr__packet__descriptor);

    stub->has_id = true;
    stub->id = whole->id;
    stub->has_version = true;
    stub->version = whole->version;
    stub->has_status = true;
    stub->status = whole->status;
    stub->created_at = whole->created_at;
    stub->updated_at = whole->updated_at;
    stub->archived_at = wire_timestamp(d->arena, d->now_us);
    stub->metadata = wire_new(d->arena, &hr__metadata__descriptor);
    stub->metadata->source_agent = stub_source(whole->metadata->source_agent, d->arena);
    stub->metadata->target_agent = stub_target(whole->metadata->target_agent, d->arena);
    stub->metadata->created_at = whole->metadata->created_at;
    stub->context = wire_new(d->arena, &hr__context__descriptor);
    stub->context->has_summary = true;
    stub->context->summary = text_of("");

    d->packet = stub;
    d->event_type = text_of("archived");
    d->actor = text_of("system:retention");
    d->details = text_of("{}");
    return RC_OK;
}
