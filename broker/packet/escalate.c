// What happens at a checkpoint while nobody answers: escalation, a warning, the time-out.
//
// None of it is ever recorded as a human's answer: responded_by and votes stay empty, timed_out
// says why the packet went on, and the actor is the system.
#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"

static bool is_among(Text who, const Text *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(all[i], who))
            return true;
    }
    return false;
}

// Nobody twice: that would be two votes to wait for, and there is one.
static void may_answer_too(Hr__Hitl *hitl, Text who, struct arena *arena)
{
    Text *all;

    if (is_among(who, hitl->approvers, hitl->n_approvers) ||
        is_among(who, hitl->escalated_to, hitl->n_escalated_to))
        return;
    all = arena_calloc(arena, hitl->n_escalated_to + 1, sizeof *all);
    if (hitl->n_escalated_to > 0)
        memcpy(all, hitl->escalated_to, hitl->n_escalated_to * sizeof *all);
    all[hitl->n_escalated_to] = who;
    hitl->escalated_to = all;
    hitl->n_escalated_to++;
}

static enum rc escalate(struct decision *d)
{
    Hr__Hitl *hitl = d->packet->hitl;
    int64_t at = hitl->has_steps_fired ? hitl->steps_fired : 0;
    const Hr__EscalationStep *step = hitl->escalation[at];
    struct buf out = {0};
    struct json_writer *details = details_open(&out);

    json_key(details, "step");
    json_integer(details, at + 1);
    json_key(details, "after_seconds");
    json_integer(details, step->after_seconds);
    details_put_text(details, "to", true, step->to);
    details_put_text(details, "note", step->has_note, step->note);
    d->details = details_close(details, d->arena);
    d->event_type = text_of("hitl_escalated");
    d->actor = text_of("system:hitl_escalation");
    hitl->has_steps_fired = true;
    hitl->steps_fired = at + 1;
    may_answer_too(hitl, step->to, d->arena);
    return RC_OK;
}

static enum rc warn(struct decision *d)
{
    Hr__Hitl *hitl = d->packet->hitl;
    char deadline[TIMESTAMP_TEXT_BYTES];

    timestamp_format(deadline, wire_timestamp_us(hitl->deadline));
    d->details = text_of(arena_printf(d->arena, "{\"deadline\":\"%s\"}", deadline));
    d->event_type = text_of("hitl_warning");
    d->actor = text_of("system:hitl_warning");
    hitl->has_warned = true;
    hitl->warned = true;
    return RC_OK;
}

// One more round with somebody else to ask. Then it has been tried.
static void ask_again(struct decision *d, Text who)
{
    Hr__Hitl *hitl = d->packet->hitl;

    may_answer_too(hitl, who, d->arena);
    hitl->has_timed_out = true;
    hitl->timed_out = true;
    hitl->has_warned = false;
    hitl->deadline = wire_timestamp(d->arena, d->now_us + hitl->timeout_seconds * US_PER_SECOND);
}

static enum rc go_on(struct decision *d, enum hitl_timeout timeout, Text argument)
{
    static const enum move moves[] = {
        [HITL_TIMEOUT_EXPIRE] = MOVE_EXPIRE,   [HITL_TIMEOUT_FAIL] = MOVE_FAIL,
        [HITL_TIMEOUT_RELEASE] = MOVE_REOPEN,  [HITL_TIMEOUT_ANSWER] = MOVE_ANSWER,
        [HITL_TIMEOUT_ESCALATE] = MOVE_EXPIRE, // asked again already
    };
    Hr__Hitl *hitl = d->packet->hitl;

    hitl->has_timed_out = true;
    hitl->timed_out = true;
    hitl->has_response = timeout == HITL_TIMEOUT_ANSWER;
    hitl->response = argument;
    return lifecycle_step(d->packet, moves[timeout], d->now_us, d->arena);
}

static enum rc time_out(struct decision *d)
{
    Hr__Hitl *hitl = d->packet->hitl;
    enum hitl_timeout timeout;
    struct buf out = {0};
    struct json_writer *details;
    char name[ENUM_TEXT_BYTES];
    enum rc rc = RC_OK;
    Text argument;

    // What is stored has been checked; anything else would be from a program newer than this one.
    if (!hitl_timeout_of(hitl, &timeout, &argument))
        timeout = HITL_TIMEOUT_EXPIRE;
    if (timeout == HITL_TIMEOUT_ESCALATE && !hitl->timed_out)
        ask_again(d, argument);
    else
        rc = go_on(d, timeout, argument);
    if (rc != RC_OK)
        return rc;
    details = details_open(&out);
    details_put_text(details, "on_timeout", true,
                     hitl->has_on_timeout ? hitl->on_timeout : text_of("expire"));
    details_put(details, "transition_to", lifecycle_name(name, d->packet->status));
    d->details = details_close(details, d->arena);
    d->event_type = text_of("hitl_timed_out");
    d->actor = text_of("system:hitl_timeout");
    return RC_OK;
}

enum rc decide_unanswered(struct decision *d)
{
    int64_t at_us;

    switch (hitl_next_due(d->packet->hitl, &at_us)) {
    case HITL_DUE_STEP:
        return escalate(d);
    case HITL_DUE_WARNING:
        return warn(d);
    default:
        return time_out(d);
    }
}
