// What a checkpoint says, read and checked.
#include "broker/packet/hitl.h"

#include <strings.h>

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

// Rejections, where a checkpoint does not name its own.
static const char *const refusals[] = {"reject",  "rejected", "deny", "denied",
                                       "decline", "declined", "no"};

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

bool hitl_has_option(const Hr__Hitl *hitl, Text option)
{
    for (size_t i = 0; hitl->options != NULL && i < hitl->options->n_items; i++) {
        if (text_equal(hitl->options->items[i], option))
            return true;
    }
    return false;
}

bool hitl_is_rejection(const Hr__Hitl *hitl, Text response)
{
    for (size_t i = 0; i < hitl->n_rejections; i++) {
        if (text_equal(hitl->rejections[i], response))
            return true;
    }
    for (size_t i = 0; hitl->n_rejections == 0 && i < sizeof refusals / sizeof refusals[0]; i++) {
        if (response.len == strlen(refusals[i]) &&
            strncasecmp((const char *)response.data, refusals[i], response.len) == 0)
            return true;
    }
    return false;
}

static bool starts_with(Text text, const char *prefix)
{
    return text.len > strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

// Is text such an answer as respond would take?
static bool is_answer(const Hr__Hitl *hitl, Text text)
{
    return hitl->free_form || hitl->options == NULL || hitl_has_option(hitl, text);
}

static const char *votes_fault(const Hr__Hitl *hitl)
{
    size_t people = 0;

    for (size_t i = 0; i < hitl->n_approvers; i++) {
        if (hitl->approvers[i].len == 0)
            return "an approver is a key id or group:<name>, not empty";
        for (size_t k = 0; k < i; k++) {
            if (text_equal(hitl->approvers[i], hitl->approvers[k]))
                return "an approver is named twice";
        }
        if (!starts_with(hitl->approvers[i], GROUP_PREFIX))
            people++;
    }
    if (hitl->n_approvers > 0 && people == hitl->n_approvers && hitl->quorum > (int64_t)people)
        return "quorum is larger than the number of approvers";
    for (size_t i = 0; i < hitl->n_rejections; i++) {
        if (!is_answer(hitl, hitl->rejections[i]))
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
    if (timeout == HITL_TIMEOUT_ANSWER && !is_answer(hitl, argument))
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
        fault = ladder_fault(hitl);
    return fault != NULL ? fault : timeout_fault(hitl);
}
