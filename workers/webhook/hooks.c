// Create, read, change. What a command changes is one conditional write of the hook's entry; a
// command that comes again finds itself in the entry.
#include "workers/webhook/hooks.h"

#include "broker/base/digest.h"
#include "broker/message/issues.h"
#include "workers/webhook/hook_rules.h"
#include "workers/webhook/lookup.h"
#include "workers/webhook/secret.h"
#include "workers/webhook/sign.h"
#include "workers/webhook/url.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define MADE_SECRET_BYTES 24

static const char *const default_events[] = {"packet.created", "packet.claimed", "packet.completed",
                                             "packet.failed"};

// A command under way; in its arena.
struct job {
    struct hooks *hooks;
    struct command *command;
    char key[HOOK_KEY_BYTES];
    const char *hook_id;
    uint8_t key_digest[DIGEST_BYTES];
    uint8_t request_digest[DIGEST_BYTES];
    Hr__Hook *hook; // a new one
    Text url;       // as it is stored
    uint64_t end;   // of the stream
    bool repeated;
    const char *made_secret; // NULL: none was made
    struct problem problem;  // why an edit was refused
    bool refused;
};

static const char *verb_of(const struct command *command)
{
    return command->request->descriptor->name;
}

static struct job *job_create(void *ctx, struct command *command, Text hook_id)
{
    struct job *job = arena_calloc(command->arena, 1, sizeof *job);
    Text request = wire_pack(command->arena, command->request);
    const char *key = command->idempotency_key != NULL ? command->idempotency_key : "";
    const struct piece key_pieces[] = {
        {command->tenant, strlen(command->tenant)},
        {key,             strlen(key)            },
    };
    const struct piece request_pieces[] = {
        {verb_of(command), strlen(verb_of(command))},
        {request.data,     request.len             },
    };

    job->hooks = ctx;
    job->command = command;
    digest_of_pieces(job->key_digest, key_pieces, 2);
    digest_of_pieces(job->request_digest, request_pieces, 2);
    if (hook_id.len > 0) {
        job->hook_id = arena_copy(command->arena, hook_id.data, hook_id.len);
        registry_key(job->key, command->tenant, job->hook_id);
    }
    return job;
}

void hooks_unknown(struct problem *problem, struct arena *arena, Text hook_id)
{
    (void)problem_set(problem, arena, PROBLEM_NOT_FOUND, "Webhook %.*s not found",
                      TEXT_ARGS(hook_id));
}

void hooks_refuse_unknown(struct command *command, Text hook_id)
{
    struct problem problem;

    hooks_unknown(&problem, command->arena, hook_id);
    command_refuse(command, &problem);
}

static void refuse_reused(struct command *command)
{
    struct problem problem;

    (void)problem_set(&problem, command->arena, PROBLEM_KEY_REUSED,
                      "This Idempotency-Key was used with another request");
    command_refuse(command, &problem);
}

static void refuse_member(struct command *command, const char *member, const char *reason)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of(member));
    issue = issues_add(&issues, &path, "value_error",
                       arena_printf(command->arena, "Value error, %s", reason));
    issue->ctx = issues_reason(command->arena, reason);
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
}

static void refuse_url(struct command *command, const char *reason)
{
    refuse_member(command, "url", reason);
}

// Goes on with the URL of a command, in the form that is stored, or refuses the command.
static void check_url(struct job *job, Text typed, lookup_done_fn done)
{
    struct hooks *hooks = job->hooks;
    struct command *command = job->command;
    const char *url = arena_copy(command->arena, typed.data, typed.len);
    const char *normal;
    const char *problem =
        strlen(url) != typed.len ? "URL holds a NUL" : url_normalize(command->arena, url, &normal);

    if (problem != NULL) {
        refuse_url(command, problem);
        return;
    }
    job->url = text_of(normal);
    lookup_url(run_loop(hooks->run), hooks->allowed_hosts, normal, done, job);
}

// False: the command has been refused. The secret itself is never echoed.
static bool takes_secret(struct command *command, Text secret)
{
    struct problem problem;
    const char *reason;

    if (secret.len < 16 || secret.len > SECRET_BYTES_MAX) {
        // Over NATS an absent secret is an empty one.
        (void)problem_set(&problem, command->arena, PROBLEM_VALIDATION,
                          "secret should have 16 to 256 characters");
        command_refuse(command, &problem);
        return false;
    }
    reason = sign_refuses(secret.data, secret.len);
    if (reason != NULL)
        refuse_member(command, "secret", reason);
    return reason == NULL;
}

// False: the command has been refused.
static bool passes(struct command *command, const struct issues *issues)
{
    struct problem problem;

    if (issues->count == 0)
        return true;
    (void)issues_to_problem(issues, &problem);
    command_refuse(command, &problem);
    return false;
}

static void reply(struct job *job, const Hr__Hook *hook)
{
    Hr__HookView *view = hook_view(job->command->arena, hook);

    if (job->made_secret != NULL) {
        view->has_secret = true;
        view->secret = text_of(job->made_secret);
    }
    command_reply(job->command, &view->base, 0);
}

// The end of every command on one hook.
static void on_edited(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct job *job = ctx;

    if (rc == RC_NOT_FOUND)
        hooks_refuse_unknown(job->command, text_of(job->hook_id));
    else if (rc != RC_OK)
        command_fail(job->command, rc == RC_CONFLICT ? RC_UNAVAILABLE : rc);
    else if (job->refused)
        command_refuse(job->command, &job->problem);
    else
        reply(job, hook);
}

// True: go on with the edit. Otherwise the command was given before, or its key with another.
static bool is_new(struct job *job, const Hr__Hook *hook)
{
    enum rc rc = RC_NOT_FOUND;

    job->refused = false;
    job->repeated = false;
    if (job->command->idempotency_key != NULL)
        rc = hook_changes_find(hook, job->key_digest, job->request_digest);
    if (rc == RC_REFUSED) {
        job->refused = true;
        (void)problem_set(&job->problem, job->command->arena, PROBLEM_KEY_REUSED,
                          "This Idempotency-Key was used with another request");
    }
    job->repeated = rc == RC_OK;
    return rc == RC_NOT_FOUND;
}

static bool changed(struct job *job, Hr__Hook *hook, struct arena *arena)
{
    hook->updated_at = wire_timestamp(arena, timestamp_now_us());
    if (job->command->idempotency_key != NULL)
        hook_changes_add(hook, arena, job->key_digest, job->request_digest);
    return true;
}

// --- create --------------------------------------------------------------------------------------

static bool keep(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    (void)ctx;
    (void)hook;
    (void)arena;
    return false;
}

static void on_existing(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct job *job = ctx;

    if (rc != RC_OK)
        command_fail(job->command, rc);
    else if (hook_changes_find(hook, job->key_digest, job->request_digest) == RC_OK)
        reply(job, hook);
    else
        refuse_reused(job->command);
}

static void on_added(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct job *job = ctx;

    if (rc == RC_OK)
        reply(job, hook);
    else if (rc == RC_CONFLICT)
        registry_edit(job->hooks->registry, job->key, job->command->arena, keep, on_existing, job);
    else
        command_fail(job->command, rc);
}

static void choose_id(struct job *job)
{
    struct command *command = job->command;
    char *text = arena_alloc(command->arena, UUID_TEXT_BYTES);
    const struct piece pieces[] = {
        {"hook",          4           },
        {job->key_digest, DIGEST_BYTES},
    };
    uint8_t digest[DIGEST_BYTES];
    struct uuid uuid = uuid_new();

    if (command->idempotency_key != NULL) {
        digest_of_pieces(digest, pieces, 2);
        uuid = uuid_from_digest(digest);
    }
    uuid_format(text, &uuid);
    job->hook_id = text;
    registry_key(job->key, command->tenant, text);
}

static void set_events(Hr__Hook *hook, struct arena *arena, const Hr__StringList *events)
{
    const size_t count = sizeof default_events / sizeof default_events[0];

    if (events != NULL) {
        hook->n_events = events->n_items;
        hook->events = events->items;
        return;
    }
    hook->events = arena_calloc(arena, count, sizeof *hook->events);
    for (size_t i = 0; i < count; i++)
        hook->events[i] = text_of(default_events[i]);
    hook->n_events = count;
}

static void on_create_end(void *ctx, enum rc rc, uint64_t end)
{
    struct job *job = ctx;
    struct command *command = job->command;
    const Hr__CreateHook *request = (const Hr__CreateHook *)command->request;
    struct arena *arena = command->arena;
    Hr__Hook *hook;

    if (rc != RC_OK) {
        command_fail(command, rc);
        return;
    }
    hook = wire_new(arena, &hr__hook__descriptor);
    hook->has_id = hook->has_tenant = hook->has_url = hook->has_active = true;
    hook->id = text_of(job->hook_id);
    hook->tenant = text_of(command->tenant);
    hook->url = job->url;
    hook->active = true;
    set_events(hook, arena, request->events);
    hook->n_agents = request->n_agents;
    hook->agents = request->agents;
    hook->n_tags = request->n_tags;
    hook->tags = request->tags;
    hook->created_at = wire_timestamp(arena, timestamp_now_us());
    hook->secret = secret_seal(job->hooks->attempts.ring, arena, command->tenant, job->hook_id,
                               request->secret);
    hook->has_from_sequence = true;
    hook->from_sequence = end;
    (void)changed(job, hook, arena);
    hook->updated_at = hook->created_at;
    registry_add(job->hooks->registry, job->key, arena, hook, on_added, job);
}

static void ask_end(struct job *job, entry_put_fn done)
{
    struct run *run = job->hooks->run;
    char stream[STREAM_BYTES];

    subject_stream(stream, 0);
    entry_end(run_requests(run), run_name(run), stream, done, job);
}

static void on_create_url(void *ctx, const char *problem)
{
    struct job *job = ctx;
    struct command *command = job->command;
    struct problem full;

    if (problem != NULL) {
        refuse_url(command, problem);
    } else if (!registry_is_current(job->hooks->registry)) {
        command_fail(command, RC_UNAVAILABLE);
    } else if (registry_count(job->hooks->registry, command->tenant) >=
               (size_t)job->hooks->per_tenant) {
        (void)problem_set(&full, command->arena, PROBLEM_VALIDATION,
                          "A tenant may have at most %lld webhooks",
                          (long long)job->hooks->per_tenant);
        command_refuse(command, &full);
    } else {
        choose_id(job);
        ask_end(job, on_create_end);
    }
}

void hooks_on_create(void *ctx, struct command *command)
{
    const Hr__CreateHook *request = (const Hr__CreateHook *)command->request;
    struct issues issues = {.arena = command->arena};
    struct job *job = job_create(ctx, command, (Text){0, NULL});

    if (request->events != NULL)
        hook_rules_events(request->events->items, request->events->n_items, &issues);
    if (passes(command, &issues) && takes_secret(command, request->secret))
        check_url(job, request->url, on_create_url);
}

// --- read ----------------------------------------------------------------------------------------

struct listing {
    const char *tenant;
    struct arena *arena;
    Hr__HookList *list;
    size_t room;
};

static void add_to_list(void *ctx, const char *key, const ProtobufCMessage *message)
{
    struct listing *listing = ctx;
    size_t len = strlen(listing->tenant);

    if (strncmp(key, listing->tenant, len) == 0 && key[len] == '.' &&
        listing->list->n_items < listing->room)
        listing->list->items[listing->list->n_items++] =
            hook_view(listing->arena, (const Hr__Hook *)message);
}

static int by_age(const void *a, const void *b)
{
    const Hr__HookView *left = *(Hr__HookView *const *)a;
    const Hr__HookView *right = *(Hr__HookView *const *)b;
    int64_t left_us = wire_timestamp_us(left->created_at);
    int64_t right_us = wire_timestamp_us(right->created_at);

    return (left_us > right_us) - (left_us < right_us);
}

static void on_list_current(void *ctx, enum rc rc)
{
    struct job *job = ctx;
    struct command *command = job->command;
    struct listing listing = {.tenant = command->tenant, .arena = command->arena};

    if (rc != RC_OK) {
        command_fail(command, rc);
        return;
    }
    listing.room = registry_count(job->hooks->registry, command->tenant);
    listing.list = wire_new(command->arena, &hr__hook_list__descriptor);
    listing.list->items = arena_calloc(command->arena, listing.room, sizeof(void *));
    registry_each(job->hooks->registry, add_to_list, &listing);
    if (listing.list->n_items > 1)
        qsort(listing.list->items, listing.list->n_items, sizeof(void *), by_age);
    command_reply(command, &listing.list->base, 0);
}

void hooks_on_list(void *ctx, struct command *command)
{
    struct hooks *hooks = ctx;

    registry_catch_up(hooks->registry, on_list_current, job_create(ctx, command, (Text){0, NULL}));
}

// The hook that a command names. NULL: it names none, and has been refused.
static struct job *job_about(void *ctx, struct command *command, Text hook_id)
{
    if (hook_id.len > 0)
        return job_create(ctx, command, hook_id);
    hooks_refuse_unknown(command, text_of("(none)"));
    return NULL;
}

void hooks_on_get(void *ctx, struct command *command)
{
    struct hooks *hooks = ctx;
    struct job *job = job_about(ctx, command, ((const Hr__HookRef *)command->request)->hook_id);

    if (job != NULL)
        registry_edit(hooks->registry, job->key, command->arena, keep, on_edited, job);
}

// --- change --------------------------------------------------------------------------------------

static bool edit_update(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    struct job *job = ctx;
    const Hr__UpdateHook *request = (const Hr__UpdateHook *)job->command->request;

    if (!is_new(job, hook))
        return false;
    if (request->has_url)
        hook->url = job->url;
    if (request->events != NULL)
        set_events(hook, arena, request->events);
    if (request->agents != NULL) {
        hook->n_agents = request->agents->n_items;
        hook->agents = request->agents->items;
    }
    if (request->tags != NULL) {
        hook->n_tags = request->tags->n_items;
        hook->tags = request->tags->items;
    }
    if (request->has_active && request->active && !hook->active) {
        hook->has_from_sequence = true;
        hook->from_sequence = job->end; // not of what it missed
        hook->has_disabled_reason = false;
        hook->disabled_reason = (Text){0, NULL};
        hook->failing_since = NULL;
    }
    if (request->has_active)
        hook->active = request->active;
    return changed(job, hook, arena);
}

static void on_update_end(void *ctx, enum rc rc, uint64_t end)
{
    struct job *job = ctx;

    job->end = end;
    if (rc == RC_OK)
        registry_edit(job->hooks->registry, job->key, job->command->arena, edit_update, on_edited,
                      job);
    else
        command_fail(job->command, rc);
}

static void on_update_url(void *ctx, const char *problem)
{
    struct job *job = ctx;

    if (problem != NULL)
        refuse_url(job->command, problem);
    else
        ask_end(job, on_update_end);
}

void hooks_on_update(void *ctx, struct command *command)
{
    const Hr__UpdateHook *request = (const Hr__UpdateHook *)command->request;
    struct issues issues = {.arena = command->arena};
    struct job *job = job_about(ctx, command, request->hook_id);

    if (job == NULL)
        return;
    if (request->events != NULL)
        hook_rules_events(request->events->items, request->events->n_items, &issues);
    hook_rules_filter("agents", request->agents, &issues);
    hook_rules_filter("tags", request->tags, &issues);
    if (!passes(command, &issues))
        return;
    if (request->has_url)
        check_url(job, request->url, on_update_url);
    else
        ask_end(job, on_update_end);
}

static bool edit_delete(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    struct job *job = ctx;

    if (!is_new(job, hook))
        return false;
    if (!hook->active) {
        job->refused = true;
        (void)problem_set(&job->problem, job->command->arena, PROBLEM_ALREADY_INACTIVE,
                          "Webhook %s is already inactive", job->hook_id);
        return false;
    }
    hook->active = false;
    return changed(job, hook, arena);
}

void hooks_on_delete(void *ctx, struct command *command)
{
    struct hooks *hooks = ctx;
    struct job *job = job_about(ctx, command, ((const Hr__HookRef *)command->request)->hook_id);

    if (job != NULL)
        registry_edit(hooks->registry, job->key, command->arena, edit_delete, on_edited, job);
}

// --- rotate --------------------------------------------------------------------------------------

static Text new_secret(struct job *job)
{
    const Hr__RotateHook *request = (const Hr__RotateHook *)job->command->request;
    uint8_t bytes[MADE_SECRET_BYTES];
    char text[4 * ((MADE_SECRET_BYTES + 2) / 3) + 1];

    if (request->has_secret)
        return request->secret;
    random_bytes(bytes, sizeof bytes);
    base64_format(text, bytes, sizeof bytes);
    job->made_secret = arena_printf(job->command->arena, "whsec_%s", text);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(text, sizeof text);
    return text_of(job->made_secret);
}

// A repeat is told the secret that the first one made, if it is still the one.
static void recall_secret(struct job *job, const Hr__Hook *hook)
{
    const Hr__HookChange *last = hook->n_recent > 0 ? hook->recent[hook->n_recent - 1] : NULL;
    uint8_t secret[SECRET_BYTES_MAX];
    size_t len;

    if (((const Hr__RotateHook *)job->command->request)->has_secret || last == NULL ||
        last->key_digest.len != DIGEST_BYTES ||
        memcmp(last->key_digest.data, job->key_digest, DIGEST_BYTES) != 0 ||
        secret_open(job->hooks->attempts.ring, hook->secret, job->command->tenant, job->hook_id,
                    secret, &len) != RC_OK)
        return;
    job->made_secret = arena_copy(job->command->arena, secret, len);
    OPENSSL_cleanse(secret, sizeof secret);
}

static bool edit_rotate(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    struct job *job = ctx;
    int64_t now_us = timestamp_now_us();

    if (!is_new(job, hook)) {
        if (job->repeated)
            recall_secret(job, hook);
        return false;
    }
    if (!hook_retire_secret(hook, arena, now_us, now_us + job->hooks->rotation_us)) {
        job->refused = true;
        (void)problem_set(&job->problem, job->command->arena, PROBLEM_SECRETS_FULL,
                          "Webhook %s has %d old secrets that still sign", job->hook_id,
                          OLD_SECRETS_MAX);
        return false;
    }
    hook->secret = secret_seal(job->hooks->attempts.ring, arena, job->command->tenant, job->hook_id,
                               new_secret(job));
    return changed(job, hook, arena);
}

void hooks_on_rotate(void *ctx, struct command *command)
{
    struct hooks *hooks = ctx;
    const Hr__RotateHook *request = (const Hr__RotateHook *)command->request;
    struct job *job = job_about(ctx, command, request->hook_id);

    if (job != NULL && (!request->has_secret || takes_secret(command, request->secret)))
        registry_edit(hooks->registry, job->key, command->arena, edit_rotate, on_edited, job);
}
