// Lists are bounded, secrets that were replaced sign until their time is over.
#include "workers/webhook/hook_rules.h"

#include "broker/base/digest.h"
#include "broker/message/json_write.h"
#include "broker/packet/event_names.h"

#define CHANGES_KEPT 8
#define EVENTS_MAX 64
#define FILTERS_MAX 64

static bool is_event(Text name)
{
    const char *known;

    if (text_is(name, "*"))
        return true;
    for (size_t i = 0; (known = heard_name(i)) != NULL; i++) {
        if (text_is(name, known))
            return true;
    }
    return false;
}

static void too_many(const char *name, size_t max, size_t count, struct issues *issues)
{
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of(name));
    issue = issues_add(issues, &path, "too_long",
                       arena_printf(issues->arena,
                                    "List should have at most %zu items after validation, not %zu",
                                    max, count));
    issue->ctx = text_of(arena_printf(
        issues->arena, "{\"field_type\":\"List\",\"max_length\":%zu,\"actual_length\":%zu}", max,
        count));
}

void hook_rules_events(Text *const events, size_t count, struct issues *issues)
{
    if (count > EVENTS_MAX) {
        too_many("events", EVENTS_MAX, count, issues);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct path path = {0};
        struct issue *issue;

        if (is_event(events[i]))
            continue;
        path_push_name(&path, text_of("body"));
        path_push_name(&path, text_of("events"));
        path_push_index(&path, i);
        issue = issues_add(issues, &path, "enum", "Input should be the name of an event, or '*'");
        issue->input = json_of_text(issues->arena, events[i]);
    }
}

void hook_rules_filter(const char *name, const Hr__StringList *list, struct issues *issues)
{
    if (list != NULL && list->n_items > FILTERS_MAX)
        too_many(name, FILTERS_MAX, list->n_items, issues);
}

Hr__HookView *hook_view(struct arena *arena, const Hr__Hook *hook)
{
    Hr__HookView *view = wire_new(arena, &hr__hook_view__descriptor);

    view->has_id = view->has_url = view->has_tenant_id = view->has_active = true;
    view->id = hook->id;
    view->url = hook->url;
    view->tenant_id = hook->tenant;
    view->active = hook->active;
    view->n_events = hook->n_events;
    view->events = hook->events;
    view->n_agents = hook->n_agents;
    view->agents = hook->agents;
    view->n_tags = hook->n_tags;
    view->tags = hook->tags;
    view->created_at = hook->created_at;
    view->updated_at = hook->updated_at;
    view->has_disabled_reason = hook->has_disabled_reason;
    view->disabled_reason = hook->disabled_reason;
    return view;
}

static bool is_digest(Text text, const uint8_t digest[32])
{
    return text.len == DIGEST_BYTES && memcmp(text.data, digest, DIGEST_BYTES) == 0;
}

enum rc hook_changes_find(const Hr__Hook *hook, const uint8_t key_digest[32],
                          const uint8_t request_digest[32])
{
    for (size_t i = 0; i < hook->n_recent; i++) {
        if (is_digest(hook->recent[i]->key_digest, key_digest))
            return is_digest(hook->recent[i]->request_digest, request_digest) ? RC_OK : RC_REFUSED;
    }
    return RC_NOT_FOUND;
}

void hook_changes_add(Hr__Hook *hook, struct arena *arena, const uint8_t key_digest[32],
                      const uint8_t request_digest[32])
{
    Hr__HookChange *change = wire_new(arena, &hr__hook_change__descriptor);
    Hr__HookChange **recent = arena_calloc(arena, CHANGES_KEPT, sizeof(void *));
    size_t first = hook->n_recent >= CHANGES_KEPT ? hook->n_recent - CHANGES_KEPT + 1 : 0;
    size_t count = 0;

    change->has_key_digest = change->has_request_digest = true;
    change->key_digest = text_copy(arena, key_digest, DIGEST_BYTES);
    change->request_digest = text_copy(arena, request_digest, DIGEST_BYTES);
    if (first > 0) // the creation is always remembered
    {
        recent[count++] = hook->recent[0];
        first++;
    }
    while (first < hook->n_recent)
        recent[count++] = hook->recent[first++];
    recent[count++] = change;
    hook->recent = recent;
    hook->n_recent = count;
}

// --- old secrets ---------------------------------------------------------------------------------

static bool signs(const Hr__SealedSecret *secret, const Google__Protobuf__Timestamp *until,
                  int64_t now_us)
{
    return secret != NULL && wire_timestamp_us(until) > now_us;
}

size_t hook_old_secrets(const Hr__Hook *hook, int64_t now_us,
                        const Hr__SealedSecret *secrets[OLD_SECRETS_MAX])
{
    size_t count = 0;

    for (size_t i = hook->n_old_secrets; i > 0 && count < OLD_SECRETS_MAX; i--) {
        const Hr__OldSecret *old = hook->old_secrets[i - 1];

        if (signs(old->secret, old->until, now_us))
            secrets[count++] = old->secret;
    }
    if (count < OLD_SECRETS_MAX && signs(hook->old_secret, hook->old_until, now_us))
        secrets[count++] = hook->old_secret;
    return count;
}

static void add_old(Hr__Hook *hook, struct arena *arena, Hr__SealedSecret *secret,
                    Google__Protobuf__Timestamp *until)
{
    Hr__OldSecret *old = wire_new(arena, &hr__old_secret__descriptor);

    old->secret = secret;
    old->until = until;
    hook->old_secrets[hook->n_old_secrets++] = old;
}

bool hook_retire_secret(Hr__Hook *hook, struct arena *arena, int64_t now_us, int64_t until_us)
{
    const Hr__SealedSecret *kept[OLD_SECRETS_MAX];
    Hr__OldSecret **before = hook->old_secrets;
    size_t count = hook->n_old_secrets;

    if (hook_old_secrets(hook, now_us, kept) == OLD_SECRETS_MAX)
        return false;
    hook->n_old_secrets = 0;
    hook->old_secrets = arena_calloc(arena, OLD_SECRETS_MAX, sizeof(void *));
    if (signs(hook->old_secret, hook->old_until, now_us))
        add_old(hook, arena, hook->old_secret, hook->old_until);
    hook->old_secret = NULL;
    hook->old_until = NULL;
    for (size_t i = 0; i < count; i++) {
        if (signs(before[i]->secret, before[i]->until, now_us))
            hook->old_secrets[hook->n_old_secrets++] = before[i];
    }
    add_old(hook, arena, hook->secret, wire_timestamp(arena, until_us));
    return true;
}
