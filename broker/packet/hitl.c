// What a checkpoint says, read and checked.
#include "broker/packet/hitl.h"

#include "broker/base/digest.h"

static const struct {
    const char *name;
    enum hitl_timeout timeout;
    bool has_argument;
} timeouts[] = {
    {"expire",      HITL_TIMEOUT_EXPIRE,   false},
    {"fail",        HITL_TIMEOUT_FAIL,     false},
    {"release",     HITL_TIMEOUT_RELEASE,  false},
    {"answer",      HITL_TIMEOUT_ANSWER,   true },
    {"escalate_to", HITL_TIMEOUT_ESCALATE, true },
};

bool hitl_timeout_of(const Hr__Hitl *hitl, enum hitl_timeout *timeout, Text *argument)
{
    const uint8_t *colon;
    Text name;

    *timeout = HITL_TIMEOUT_EXPIRE;
    *argument = (Text){0};
    if (!hitl->has_on_timeout)
        return true;
    name = hitl->on_timeout;
    colon = name.len > 0 ? memchr(name.data, ':', name.len) : NULL;
    if (colon != NULL) {
        argument->len = name.len - (size_t)(colon - name.data) - 1;
        argument->data = name.data + (name.len - argument->len);
        name.len = (size_t)(colon - name.data);
    }
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        if (text_is(name, timeouts[i].name) && (colon != NULL) == timeouts[i].has_argument &&
            (argument->len > 0) == timeouts[i].has_argument) {
            *timeout = timeouts[i].timeout;
            return true;
        }
    }
    return false;
}

static bool is_among(Text text, const Text *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(all[i], text))
            return true;
    }
    return false;
}

static bool is_option(const Hr__Hitl *hitl, Text response)
{
    return hitl->options != NULL &&
           is_among(response, hitl->options->items, hitl->options->n_items);
}

bool hitl_takes(const Hr__Hitl *hitl, Text response)
{
    return hitl->free_form || hitl->options == NULL || hitl->options->n_items == 0 ||
           is_option(hitl, response);
}

bool hitl_has_consequences(const Hr__Hitl *hitl)
{
    return hitl->n_approvers > 0 || hitl->has_quorum || hitl->subject != NULL;
}

bool hitl_is_guarded(const Hr__Hitl *hitl)
{
    return hitl_has_consequences(hitl) || hitl->n_approve_options > 0;
}

enum hitl_verdict hitl_verdict(const Hr__Hitl *hitl, bool diverted, Text response)
{
    bool approves;

    if (hitl->n_approve_options > 0) {
        approves = is_among(response, hitl->approve_options, hitl->n_approve_options);
        return approves ? HITL_APPROVES : HITL_REFUSES;
    }
    if (!diverted && !hitl_has_consequences(hitl))
        return HITL_ANSWERED;
    // What follows was stored before approve_options existed.
    if (hitl->n_rejections == 0)
        return HITL_UNDECIDED;
    approves =
        is_option(hitl, response) && !is_among(response, hitl->rejections, hitl->n_rejections);
    return approves ? HITL_APPROVES : HITL_REFUSES;
}

bool hitl_is_approved(const Hr__Hitl *hitl)
{
    return hitl->has_response && hitl->has_responded_by &&
           hitl_verdict(hitl, false, hitl->response) == HITL_APPROVES;
}

void hitl_ask_to_go_on(Hr__Hitl *hitl, struct arena *arena)
{
    Text *answers = arena_calloc(arena, 2, sizeof *answers);

    answers[0] = text_of("continue");
    answers[1] = text_of("stop");
    hitl->options = wire_new(arena, &hr__string_list__descriptor);
    hitl->options->items = answers;
    hitl->options->n_items = 2;
    hitl->approve_options = &answers[0];
    hitl->n_approve_options = 1;
    hitl->rejections = &answers[1];
    hitl->n_rejections = 1;
}

// Earlier versions took any number of seconds; a stored one that does not fit means no deadline.
#define SECONDS_MAX (100LL * 366 * 24 * 3600)

static bool has_timeout(const Hr__Hitl *hitl)
{
    return hitl->has_timeout_seconds && hitl->timeout_seconds > 0 &&
           hitl->timeout_seconds <= SECONDS_MAX;
}

Text hitl_digest(const Hr__Json *subject, struct arena *arena)
{
    char *hex = arena_alloc(arena, DIGEST_HEX_BYTES);
    uint8_t digest[DIGEST_BYTES];

    digest_of(digest, subject->text.data, subject->text.len);
    hex_format(hex, digest, DIGEST_BYTES);
    return text_of(hex);
}

void hitl_open(Hr__Hitl *hitl, int64_t now_us, struct arena *arena)
{
    hitl->has_response = false;
    hitl->has_responded_by = false;
    hitl->responded_at = NULL;
    hitl->n_votes = 0;
    hitl->n_escalated_to = 0;
    hitl->has_steps_fired = false;
    hitl->has_warned = false;
    hitl->has_timed_out = false;
    hitl->has_requested_by_key = false;
    hitl->approved_subject = NULL;
    hitl->has_subject_digest = hitl->subject != NULL;
    if (hitl->subject != NULL)
        hitl->subject_digest = hitl_digest(hitl->subject, arena);
    hitl->requested_at = wire_timestamp(arena, now_us);
    hitl->deadline = NULL;
    if (has_timeout(hitl))
        hitl->deadline = wire_timestamp(arena, now_us + hitl->timeout_seconds * US_PER_SECOND);
}

enum hitl_due hitl_next_due(const Hr__Hitl *hitl, int64_t *at_us)
{
    int64_t requested_us = wire_timestamp_us(hitl->requested_at);
    int64_t deadline_us = wire_timestamp_us(hitl->deadline);
    size_t step = hitl->has_steps_fired ? (size_t)hitl->steps_fired : 0;
    enum hitl_due due = HITL_DUE_NOTHING;

    *at_us = INT64_MAX;
    if (hitl->requested_at == NULL)
        return due;
    if (hitl->deadline != NULL) {
        due = HITL_DUE_TIMEOUT;
        *at_us = deadline_us;
    }
    if (hitl->deadline != NULL && hitl->has_warn_before_seconds && !hitl->warned) {
        due = HITL_DUE_WARNING;
        *at_us = deadline_us - hitl->warn_before_seconds * US_PER_SECOND;
    }
    if (step < hitl->n_escalation) {
        int64_t step_us = requested_us + hitl->escalation[step]->after_seconds * US_PER_SECOND;

        if (step_us <= *at_us) {
            due = HITL_DUE_STEP;
            *at_us = step_us;
        }
    }
    return due;
}

int64_t hitl_last_step_us(const Hr__Hitl *hitl)
{
    if (hitl->n_escalation == 0)
        return 0;
    return wire_timestamp_us(hitl->requested_at) +
           hitl->escalation[hitl->n_escalation - 1]->after_seconds * US_PER_SECOND;
}

static bool starts_with(Text text, const char *prefix)
{
    return text.len > strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

// Those who may come to vote, in turn: the approvers, those on the ladder, the one a time-out
// names. Empty: nobody.
static Text voter_at(const Hr__Hitl *hitl, size_t at)
{
    enum hitl_timeout timeout;
    Text argument;

    if (at < hitl->n_approvers)
        return hitl->approvers[at];
    if (at < hitl->n_approvers + hitl->n_escalation)
        return hitl->escalation[at - hitl->n_approvers]->to;
    if (!hitl_timeout_of(hitl, &timeout, &argument) || timeout != HITL_TIMEOUT_ESCALATE)
        return (Text){0};
    return argument;
}

static bool is_named_before(const Hr__Hitl *hitl, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (text_equal(voter_at(hitl, i), voter_at(hitl, at)))
            return true;
    }
    return false;
}

bool hitl_has_quorum(const Hr__Hitl *hitl, Text asker)
{
    int64_t quorum = hitl->has_quorum ? hitl->quorum : 1;
    int64_t people = 0;

    if (hitl->n_approvers == 0)
        return true; // anyone may answer
    for (size_t i = 0; i <= hitl->n_approvers + hitl->n_escalation; i++) {
        Text voter = voter_at(hitl, i);

        if (starts_with(voter, GROUP_PREFIX))
            return true;
        people += voter.len > 0 && !text_equal(voter, asker) && !is_named_before(hitl, i);
    }
    return people >= quorum;
}

static const char *votes_fault(const Hr__Hitl *hitl)
{
    for (size_t i = 0; i < hitl->n_approvers; i++) {
        if (hitl->approvers[i].len == 0)
            return "an approver is a key id or group:<name>, not empty";
        for (size_t k = 0; k < i; k++) {
            if (text_equal(hitl->approvers[i], hitl->approvers[k]))
                return "an approver is named twice";
        }
    }
    if (!hitl_has_quorum(hitl, (Text){0}))
        return "quorum is larger than the number of approvers";
    return NULL;
}

static const char *options_fault(const Hr__Hitl *hitl)
{
    if (hitl_has_consequences(hitl) && hitl->n_approve_options == 0)
        return "approve_options is required with subject, approvers or quorum: it names the "
               "answers that approve";
    for (size_t i = 0; i < hitl->n_approve_options; i++) {
        if (!hitl_takes(hitl, hitl->approve_options[i]))
            return "approve_options names an answer that is not one of the options";
        if (is_among(hitl->approve_options[i], hitl->rejections, hitl->n_rejections))
            return "an answer is in approve_options and in rejections";
    }
    for (size_t i = 0; i < hitl->n_rejections; i++) {
        if (!hitl_takes(hitl, hitl->rejections[i]))
            return "rejections names an answer that is not one of the options";
    }
    return NULL;
}

static const char *ladder_fault(const Hr__Hitl *hitl)
{
    int64_t last = 0;

    for (size_t i = 0; i < hitl->n_escalation; i++) {
        const Hr__EscalationStep *step = hitl->escalation[i];

        if (step->to.len == 0)
            return "an escalation step needs somebody to escalate to";
        if (step->after_seconds <= last)
            return "escalation steps should come one after the other: after_seconds must rise";
        if (hitl->has_timeout_seconds && step->after_seconds >= hitl->timeout_seconds)
            return "an escalation step should come before timeout_seconds";
        last = step->after_seconds;
    }
    return NULL;
}

static const char *timeout_fault(const Hr__Hitl *hitl)
{
    enum hitl_timeout timeout;
    Text argument;

    if (!hitl_timeout_of(hitl, &timeout, &argument))
        return "on_timeout should be expire, fail, release, answer:<option> or escalate_to:<id>";
    if ((hitl->has_on_timeout || hitl->has_warn_before_seconds) && !hitl->has_timeout_seconds)
        return "on_timeout and warn_before_seconds need timeout_seconds";
    if (hitl->has_warn_before_seconds && hitl->warn_before_seconds >= hitl->timeout_seconds)
        return "warn_before_seconds should be less than timeout_seconds";
    if (timeout == HITL_TIMEOUT_ANSWER && !hitl_takes(hitl, argument))
        return "on_timeout names an answer that is not one of the options";
    return NULL;
}

const char *hitl_fault(const Hr__Hitl *hitl, bool create)
{
    const char *fault = NULL;

    if (create && hitl->required && hitl->has_reason && hitl->reason.len == 0)
        fault = "a checkpoint that is required needs a reason";
    if (fault == NULL)
        fault = votes_fault(hitl);
    if (fault == NULL)
        fault = options_fault(hitl);
    if (fault == NULL)
        fault = ladder_fault(hitl);
    return fault != NULL ? fault : timeout_fault(hitl);
}
