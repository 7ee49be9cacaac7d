// Which deadline of a packet is next, and what happens when it has come.
//
// decide_due makes one step, the earliest, and only if its time has come by the clock of the one
// who asks. So steps happen in order and once each, however many programs try: the append is on
// condition, and the one who comes second finds that nothing is due.
#include "broker/packet/due.h"

#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"

static void earlier(int64_t *at_us, unsigned *kind, int64_t other_us, unsigned other_kind)
{
    if (other_us < *at_us) {
        *at_us = other_us;
        *kind = other_kind;
    }
}

static int64_t stamp(const Google__Protobuf__Timestamp *timestamp)
{
    return timestamp != NULL ? wire_timestamp_us(timestamp) : DUE_NEVER;
}

static bool is_asking(const Hr__Packet *packet)
{
    return packet->status == HR__STATUS__STATUS_AWAITING_HUMAN && packet->hitl != NULL;
}

// What a packet waits for may last longer than its time to live. A checkpoint with a time-out ends
// by that; without one, those whom the last step asked have a whole time to live to answer.
static int64_t ttl_end(const Hr__Packet *packet, int64_t ttl_us)
{
    int64_t end_us = wire_timestamp_us(packet->created_at) + ttl_us;
    int64_t waits_us = end_us;
    int64_t next_us;

    if (is_asking(packet)) {
        if (hitl_next_due(packet->hitl, &next_us) != HITL_DUE_NOTHING)
            return DUE_NEVER;
        waits_us = hitl_last_step_us(packet->hitl) + ttl_us;
    } else if (packet->claim != NULL && packet->claim->lease_expires_at != NULL) {
        waits_us = wire_timestamp_us(packet->claim->lease_expires_at);
    }
    return waits_us > end_us ? waits_us : end_us;
}

int64_t due_next(const Hr__Packet *packet, const struct due_spec *spec, unsigned *kind)
{
    int64_t at_us = DUE_NEVER;
    int64_t next_us;
    bool finished = packet->status == HR__STATUS__STATUS_COMPLETED ||
                    packet->status == HR__STATUS__STATUS_EXPIRED;

    *kind = 0;
    if (packet->archived_at != NULL)
        return DUE_NEVER;
    if (is_asking(packet) && (spec->kinds & DUE_HITL) != 0 &&
        hitl_next_due(packet->hitl, &next_us) != HITL_DUE_NOTHING)
        earlier(&at_us, kind, next_us, DUE_HITL);
    if (packet->claim != NULL && (spec->kinds & DUE_LEASE) != 0)
        earlier(&at_us, kind, stamp(packet->claim->lease_expires_at), DUE_LEASE);
    if (packet->status == HR__STATUS__STATUS_CREATED && (spec->kinds & DUE_CLAIM_BY) != 0)
        earlier(&at_us, kind, stamp(packet->metadata->claim_by), DUE_CLAIM_BY);
    if (!finished && (spec->kinds & DUE_TTL) != 0 && spec->ttl_us > 0)
        earlier(&at_us, kind, ttl_end(packet, spec->ttl_us), DUE_TTL);
    if ((finished || packet->status == HR__STATUS__STATUS_FAILED) &&
        (spec->kinds & DUE_ARCHIVE) != 0 && spec->retention_us > 0)
        earlier(&at_us, kind, wire_timestamp_us(packet->updated_at) + spec->retention_us,
                DUE_ARCHIVE);
    return at_us;
}

static enum rc end_lease(struct decision *d)
{
    const Hr__Claim *claim = d->packet->claim;
    struct buf out = {0};
    struct json_writer *details = details_open(&out);

    json_key(details, "holder");
    json_message(details, &claim->holder->base);
    json_key(details, "generation");
    json_integer(details, (long long)claim->generation);
    d->details = details_close(details, d->arena);
    d->event_type = text_of("lease_expired");
    d->actor = text_of("system:lease_expiry");
    return lifecycle_step(d->packet, MOVE_RETURN, d->now_us, d->arena);
}

static enum rc end_life(struct decision *d)
{
    char name[ENUM_TEXT_BYTES];

    d->details =
        text_of(arena_printf(d->arena, "{\"previous_status\":\"%s\",\"reason\":\"ttl_exceeded\"}",
                             lifecycle_name(name, d->packet->status)));
    d->event_type = text_of("expired");
    d->actor = text_of("system:expiry_task");
    return lifecycle_step(d->packet, MOVE_EXPIRE, d->now_us, d->arena);
}

static enum rc pass_on(struct decision *d)
{
    d->actor = text_of("system:claim_by");
    return decide_move_on(d, "unclaimed");
}

enum rc decide_due(struct decision *d, const ProtobufCMessage *request)
{
    unsigned kind;

    (void)request;
    if (d->packet == NULL)
        return decide_not_found(d);
    if (due_next(d->packet, d->ctx, &kind) > d->now_us) {
        d->unchanged = true;
        return RC_OK;
    }
    if (kind == DUE_ARCHIVE)
        return decide_archive(d);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    switch (kind) {
    case DUE_LEASE:
        return end_lease(d);
    case DUE_CLAIM_BY:
        return pass_on(d);
    case DUE_HITL:
        return decide_unanswered(d);
    default:
        return end_life(d);
    }
}
