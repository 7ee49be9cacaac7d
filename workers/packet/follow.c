// A durable consumer per key, made for the agent and not by it: those who may make consumers, pull
// from them or acknowledge can have the server publish to any subject (docs/decisions/024). So it
// pushes to the key's own inbox, filtered by the tenant's subject, and asks for no acknowledgement;
// while nobody listens there it waits.
//
// The names of a tenant and a key have no '=' in them, so no two pairs have one name.
#include "workers/packet/follow.h"

#include "broker/base/buf.h"
#include "broker/base/log.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>

#define TIMEOUT_MS 3000
#define UNUSED_DAYS 14 // then the server forgets it
#define NAME_BYTES (2 * TOKEN_MAX + 16)

struct follow {
    struct command *command;
    struct store *store;
    char stream[STREAM_BYTES];
    char name[NAME_BYTES];
    char inbox[SUBJECT_BYTES];
};

static const Hr__FollowPackets *wish_of(const struct follow *follow)
{
    return (const Hr__FollowPackets *)follow->command->request;
}

static void ask(struct follow *follow, const char *verb, const struct buf *body,
                request_done_fn done)
{
    char subject[SUBJECT_BYTES];
    const struct request request = {
        .subject = subject,
        .inbox = store_inbox(follow->store),
        .data = body->data,
        .len = body->len,
        .timeout_ms = TIMEOUT_MS,
        .done = done,
        .ctx = follow,
    };

    (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.%s.%s.%s", verb, follow->stream,
                   follow->name);
    request_send(store_requests(follow->store), &request);
}

static void answer(struct follow *follow)
{
    struct command *command = follow->command;
    Hr__Following *following = wire_new(command->arena, &hr__following__descriptor);

    following->has_subject = true;
    following->subject = text_of(follow->inbox);
    following->has_consumer = true;
    following->consumer = text_of(follow->name);
    command_reply(command, &following->base, 0);
}

// The server's answer; the words looked for are fixed ones of its API.
static bool says(const struct follow *follow, struct msg *reply, const char *word)
{
    const char *text = arena_copy(follow->command->arena, msg_data(reply), msg_len(reply));

    return strstr(text, word) != NULL;
}

static void on_created(void *ctx, enum rc rc, struct msg *reply)
{
    struct follow *follow = ctx;

    if (rc == RC_OK && says(follow, reply, "\"error\"")) {
        log_warn("follow.create", "consumer=%s answer=\"%.200s\"", follow->name,
                 (const char *)msg_data(reply));
        rc = RC_UNAVAILABLE;
    }
    if (rc == RC_OK)
        answer(follow);
    else
        command_fail(follow->command, rc);
}

static void create(struct follow *follow)
{
    const Hr__FollowPackets *wish = wish_of(follow);
    struct buf body = {0};

    buf_printf(&body, "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"%s\",",
               follow->stream, follow->name);
    if (wish->has_since)
        buf_printf(&body, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRId64 ",",
                   wish->since + 1);
    else
        buf_puts(&body, "\"deliver_policy\":\"new\",");
    buf_printf(&body,
               "\"deliver_subject\":\"%s\",\"ack_policy\":\"none\",\"replay_policy\":\"instant\","
               "\"inactive_threshold\":%lld,\"filter_subject\":\"hr.v1.packet.0.%s.*\"}}",
               follow->inbox, UNUSED_DAYS * 86400LL * 1000000000LL, follow->command->tenant);
    ask(follow, "DURABLE.CREATE", &body, on_created);
    buf_fini(&body);
}

static void on_deleted(void *ctx, enum rc rc, struct msg *reply)
{
    struct follow *follow = ctx;
    const Hr__FollowPackets *wish = wish_of(follow);

    (void)reply; // whether it was there or not
    if (rc != RC_OK)
        command_fail(follow->command, rc);
    else if (wish->has_stop && wish->stop)
        answer(follow);
    else
        create(follow);
}

static void on_found(void *ctx, enum rc rc, struct msg *reply)
{
    struct follow *follow = ctx;

    if (rc != RC_OK)
        command_fail(follow->command, rc);
    else if (says(follow, reply, "\"error\""))
        create(follow);
    else
        answer(follow); // it goes on where it was
}

void follow_start(struct command *command, struct store *store)
{
    struct follow *follow = arena_calloc(command->arena, 1, sizeof *follow);
    const Hr__FollowPackets *wish = (const Hr__FollowPackets *)command->request;
    const struct buf nothing = {0};

    follow->command = command;
    follow->store = store;
    subject_stream(follow->stream, 0);
    (void)snprintf(follow->name, sizeof follow->name, "agent=%s=%s", command->tenant,
                   command->key_id);
    (void)snprintf(follow->inbox, sizeof follow->inbox, "_INBOX.%s.follow", command->key_id);
    if (wish->has_since || (wish->has_stop && wish->stop))
        ask(follow, "DELETE", &nothing, on_deleted);
    else
        ask(follow, "INFO", &nothing, on_found);
}
