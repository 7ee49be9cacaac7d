// One WebSocket: what its client says, and what it is told.
#include "gateway/ws.h"

#include "broker/base/log.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/web/websocket.h"
#include "gateway/auth.h"
#include "gateway/http.h"
#include "gateway/listen.h"
#include "gateway/sockets.h"

#define SCRATCH_BYTES 1024

struct ws {
    struct listening listening; // first
    struct websocket *socket;   // NULL until it is open
    struct arena *scratch;      // owned: for one message of the client
    bool greeted;
};

// --- what is said --------------------------------------------------------------------------------

static struct json_writer *begin(struct buf *out, const char *type)
{
    struct json_writer *writer = json_writer_create(out);

    json_object_open(writer);
    json_key(writer, "type");
    json_string(writer, type);
    return writer;
}

static void put(struct json_writer *writer, const char *key, const char *value)
{
    json_key(writer, key);
    json_string(writer, value);
}

static void finish(struct ws *ws, struct json_writer *writer, struct buf *out)
{
    json_object_close(writer);
    json_writer_destroy(writer);
    websocket_send(ws->socket, out->data, out->len);
    buf_fini(out);
}

static void say(struct ws *ws, const char *type, const char *key, const char *value)
{
    struct buf out = {0};
    struct json_writer *writer = begin(&out, type);

    put(writer, key, value);
    finish(ws, writer, &out);
}

static void say_time(struct ws *ws, const char *type)
{
    char now[TIMESTAMP_TEXT_BYTES];

    say(ws, type, "timestamp", listen_now(now));
}

static void say_channel(struct ws *ws, const char *type, Text channel)
{
    struct buf out = {0};
    struct json_writer *writer = begin(&out, type);

    json_key(writer, "channel");
    json_text(writer, channel);
    finish(ws, writer, &out);
}

static void greet(struct ws *ws)
{
    const struct exchange *exchange = ws->listening.exchange;
    const char *tier = sockets_tier(exchange->gateway->sockets, exchange->caller.tenant);
    struct buf out = {0};
    struct json_writer *writer = begin(&out, "connected");

    put(writer, "connection_id", ws->listening.id);
    put(writer, "tier", tier);
    put(writer, "message", "HandoffRail WebSocket connected");
    json_key(writer, "seq"); // listening can go on behind it
    json_integer(writer, (long long)listener_position(ws->listening.listener));
    json_key(writer, "reset"); // events are missing between the place it asked for and this one
    json_bool(writer, listener_is_reset(ws->listening.listener));
    finish(ws, writer, &out);
    ws->greeted = true;
    websocket_hold(ws->socket, false);
}

static enum websocket_status goodbye_of(enum listener_state state)
{
    return state == LISTENER_SHUTDOWN ? WEBSOCKET_GOING_AWAY : WEBSOCKET_TRY_AGAIN;
}

// Everything there is to say, as long as there is room for it.
static void go_on(struct ws *ws)
{
    struct listener *listener = ws->listening.listener;
    const struct live_event *event;
    const char *reason;

    if (ws->socket == NULL || listener_state(listener) == LISTENER_STARTING)
        return;
    reason = listen_reason(&ws->listening);
    if (reason != NULL) {
        websocket_close(ws->socket, goodbye_of(listener_state(listener)), reason);
        return;
    }
    if (!ws->greeted)
        greet(ws);
    while (websocket_has_room(ws->socket) && (event = listener_take(listener)) != NULL)
        websocket_send(ws->socket, event->envelope.data, event->envelope.len);
}

// --- what the client says ------------------------------------------------------------------------

static void subscribe(struct ws *ws, const Hr__SocketCommand *command)
{
    struct listening *listening = &ws->listening;
    uint64_t told = listener_position(listening->listener);
    bool rewinds = command->has_since && command->since >= 0 && (uint64_t)command->since < told;
    uint64_t from = rewinds ? (uint64_t)command->since : told;

    if (command->channel.len > CHANNEL_MAX ||
        !channels_add(listening->channels, command->channel, from, told)) {
        say(ws, "error", "message", "Too many channels, or too long a name of one");
        return;
    }
    say_channel(ws, "subscribed", command->channel);
    listener_rewind(listening->listener, from);
    go_on(ws);
}

static void unsubscribe(struct ws *ws, const Hr__SocketCommand *command)
{
    struct listening *listening = &ws->listening;
    uint64_t told = listener_position(listening->listener);

    channels_remove(listening->channels, command->channel, told);
    say_channel(ws, "unsubscribed", command->channel);
    listener_rewind(listening->listener, told);
}

static void obey(struct ws *ws, const Hr__SocketCommand *command)
{
    bool has_channel = command->has_channel && command->channel.len > 0;

    if (text_is(command->action, "ping"))
        say_time(ws, "pong");
    else if (text_is(command->action, "subscribe") && has_channel)
        subscribe(ws, command);
    else if (text_is(command->action, "unsubscribe") && has_channel)
        unsubscribe(ws, command);
    else if (!text_is(command->action, "subscribe") && !text_is(command->action, "unsubscribe"))
        say(ws, "error", "message",
            arena_printf(ws->scratch, "Unknown action: %.*s", TEXT_ARGS(command->action)));
}

static void on_text(void *ctx, const char *text, size_t len)
{
    struct ws *ws = ctx;
    struct issues issues = {.arena = ws->scratch};
    struct problem problem;
    ProtobufCMessage *message;
    size_t start = 0;

    while (start < len && strchr(" \t\r\n", text[start]) != NULL)
        start++;
    if (start == len || json_read(&message, ws->scratch, &hr__socket_command__descriptor, text, len,
                                  &issues, &problem) != RC_OK)
        say(ws, "error", "message", "Invalid JSON");
    else if (text[start] != '{')
        websocket_close(ws->socket, WEBSOCKET_NOT_ACCEPTABLE, "only objects are understood");
    else if (issues.count > 0)
        say(ws, "error", "message", "action and channel must be strings, since a whole number");
    else
        obey(ws, (const Hr__SocketCommand *)message);
    arena_reset(ws->scratch);
}

// --- the connection ------------------------------------------------------------------------------

static void on_open(void *ctx, struct websocket *socket)
{
    struct ws *ws = ctx;

    ws->socket = socket;
    websocket_hold(socket, true); // until it is known where it begins
    go_on(ws);
}

static void on_room(void *ctx)
{
    go_on(ctx);
}

static void on_ready(void *ctx)
{
    go_on(ctx);
}

static void on_notice(void *ctx, const char *type, Text json)
{
    struct ws *ws = ctx;

    (void)type;
    if (ws->greeted && websocket_has_room(ws->socket))
        websocket_send(ws->socket, json.data, json.len);
}

static void on_closed(void *ctx)
{
    struct ws *ws = ctx;
    const struct exchange *exchange = ws->listening.exchange;

    sockets_leave(exchange->gateway->sockets, exchange->caller.tenant);
    listen_end(&ws->listening);
    arena_destroy(ws->scratch);
}

static void on_tick(void *ctx)
{
    struct ws *ws = ctx;

    if (ws->socket == NULL)
        return;
    if (!auth_still_holds(ws->listening.exchange))
        websocket_close(ws->socket, WEBSOCKET_POLICY, "the API key is not valid any more");
    else if (ws->greeted && websocket_has_room(ws->socket) && listen_ping_is_due(&ws->listening))
        say_time(ws, "ping");
    websocket_tick(ws->socket);
}

static void refuse(struct exchange *exchange, enum problem_code code, const char *reason)
{
    struct problem problem;

    (void)problem_set(&problem, exchange->arena, code, "%s", reason);
    http_refuse(exchange, &problem);
}

void ws_listen(struct exchange *exchange)
{
    struct ws *ws = arena_calloc(exchange->arena, 1, sizeof *ws);
    struct listener_config listener = {
        .on_ready = on_ready, .on_notice = on_notice, .on_tick = on_tick, .ctx = ws};
    const struct websocket_config socket = {.on_open = on_open,
                                            .on_text = on_text,
                                            .on_room = on_room,
                                            .on_closed = on_closed,
                                            .ctx = ws};
    const char *reason;

    if (!listen_read(&ws->listening, &listener, exchange))
        return;
    if (!websocket_check(exchange->request, &reason)) {
        listen_end(&ws->listening);
        refuse(exchange, PROBLEM_INVALID_HEADER, reason);
        return;
    }
    if (!sockets_enter(exchange->gateway->sockets, exchange->caller.tenant)) {
        listen_end(&ws->listening);
        refuse(exchange, PROBLEM_FORBIDDEN, "The tenant has as many WebSockets as its tier allows");
        return;
    }
    ws->scratch = arena_create(SCRATCH_BYTES);
    ws->listening.listener = live_listen(exchange->gateway->live, &listener);
    http_upgrade(exchange, &socket);
}
