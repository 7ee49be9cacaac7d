// An open packet that its addressee does not take: to the next agent, and at last to the one that
// its sender named for that case.
#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"

static bool has_declined(const Hr__Packet *packet, Text agent_id)
{
    for (size_t i = 0; i < packet->n_declined; i++) {
        if (text_equal(packet->declined[i]->agent_id, agent_id))
            return true;
    }
    return false;
}

static Hr__TargetAgent *next_fallback(Hr__Packet *packet)
{
    Hr__Metadata *metadata = packet->metadata;
    size_t at = metadata->has_fallbacks_used ? (size_t)metadata->fallbacks_used : 0;

    while (at < metadata->n_fallback_agents &&
           has_declined(packet, metadata->fallback_agents[at]->id))
        at++;
    if (at >= metadata->n_fallback_agents)
        return NULL;
    metadata->has_fallbacks_used = true;
    metadata->fallbacks_used = (int64_t)at + 1;
    return metadata->fallback_agents[at];
}

static Hr__Hitl *ask_for_help(struct arena *arena)
{
    Hr__Hitl *hitl = wire_new(arena, &hr__hitl__descriptor);

    hitl->has_required = true;
    hitl->required = true;
    hitl->has_reason = true;
    hitl->reason = text_of("No agent claimed this packet");
    hitl_ask_to_go_on(hitl, arena);
    hitl->has_free_form = true; // who to give it to may need a word
    hitl->free_form = true;
    return hitl;
}

static enum rc give_up(struct decision *d, const char *reason)
{
    bool ask =
        d->packet->metadata->on_unclaimed == HR__UNCLAIMED_POLICY__UNCLAIMED_POLICY_AWAITING_HUMAN;
    char name[ENUM_TEXT_BYTES];
    Hr__Status from = d->packet->status;
    struct buf out = {0};
    struct json_writer *details;
    enum rc rc;

    if (ask && d->packet->hitl == NULL)
        d->packet->hitl = ask_for_help(d->arena);
    rc = lifecycle_step(d->packet, ask ? MOVE_ASK : MOVE_FAIL, d->now_us, d->arena);
    if (rc != RC_OK)
        return rc;
    details = details_open(&out);
    details_put(details, "reason", reason);
    details_put(details, "from_status", lifecycle_name(name, from));
    details_put(details, "to_status", lifecycle_name(name, d->packet->status));
    d->details = details_close(details, d->arena);
    d->event_type = text_of(ask ? "awaiting_human" : "failed");
    return RC_OK;
}

enum rc decide_move_on(struct decision *d, const char *reason)
{
    Hr__TargetAgent *next = next_fallback(d->packet);

    if (next == NULL)
        return give_up(d, reason);
    decide_readdress(d, next, reason);
    return RC_OK;
}
