// One stream of server-sent events per request. What its client has not taken yet is never more
// than one event here; the rest waits in the stream.
#include "gateway/sse.h"

#include "broker/base/buf.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/message/json_write.h"
#include "gateway/auth.h"
#include "gateway/http.h"
#include "gateway/listen.h"

#include <inttypes.h>

#define BLOCK_BYTES 4096     // taken at a time
#define NOTICES_MAX 65536    // bytes that may wait; a client that takes nothing misses notices
#define TEXT_KEPT_BYTES 4096 // of memory that stays with a stream that has nothing to say

struct sse {
    struct listening listening; // first
    struct web_request *web;
    struct buf text; // owned: being sent
    size_t sent;
    bool greeted;
    bool ping;
    bool gone;    // its client
    bool revoked; // its key
    bool last;    // nothing comes behind the text
};

// --- what is said --------------------------------------------------------------------------------

static struct json_writer *begin(struct sse *sse, const char *event)
{
    struct json_writer *writer;

    buf_printf(&sse->text, "event: %s\ndata: ", event);
    writer = json_writer_create(&sse->text);
    json_object_open(writer);
    return writer;
}

static void finish(struct sse *sse, struct json_writer *writer)
{
    json_object_close(writer);
    json_writer_destroy(writer);
    buf_puts(&sse->text, "\n\n");
}

static void say(struct sse *sse, const char *event, const char *key, const char *value)
{
    struct json_writer *writer = begin(sse, event);

    json_key(writer, key);
    json_string(writer, value);
    finish(sse, writer);
}

// Its id is the place: a client that is cut before the first event comes back to it.
static void greet(struct sse *sse)
{
    struct listening *listening = &sse->listening;
    struct arena *arena = listening->exchange->arena;
    struct json_writer *writer;

    sse->greeted = true;
    buf_printf(&sse->text, "id: %" PRIu64 "\nretry: 1000\n",
               listener_position(listening->listener));
    writer = begin(sse, "connected");
    json_key(writer, "connection_id");
    json_string(writer, listening->id);
    json_key(writer, "message");
    json_string(writer, arena_printf(arena, "HandoffRail SSE connected. Subscribed channels: %s",
                                     channels_names(listening->channels, arena)));
    json_key(writer, "reset"); // events are missing between the place it asked for and this one
    json_bool(writer, listener_is_reset(listening->listener));
    finish(sse, writer);
}

// JSON in one line. U+0085, U+2028 and U+2029 end a line for some readers, so they are escaped; in
// JSON they can only stand in strings.
static void put_json_line(struct buf *out, const char *json, size_t len)
{
    static const struct {
        const char *bytes;
        const char *escape;
    } breaks[] = {
        {"\xc2\x85",     "\\u0085"},
        {"\xe2\x80\xa8", "\\u2028"},
        {"\xe2\x80\xa9", "\\u2029"},
    };
    size_t done = 0;

    for (size_t i = 0; i < len; i++) {
        for (size_t k = 0; (unsigned char)json[i] >= 0xc2 && k < 3; k++) {
            size_t bytes = strlen(breaks[k].bytes);

            if (len - i < bytes || memcmp(json + i, breaks[k].bytes, bytes) != 0)
                continue;
            buf_append(out, json + done, i - done);
            buf_puts(out, breaks[k].escape);
            done = i + bytes;
        }
    }
    buf_append(out, json + done, len - done);
}

static void say_event(struct sse *sse, const struct live_event *event)
{
    buf_printf(&sse->text, "id: %" PRIu64 "\nevent: %s\ndata: ", event->sequence, event->name);
    put_json_line(&sse->text, (const char *)event->envelope.data, event->envelope.len);
    buf_puts(&sse->text, "\n\n");
}

// Appends the next thing to say, if there is one.
static void say_next(struct sse *sse)
{
    struct listener *listener = sse->listening.listener;
    const char *reason =
        sse->revoked ? "the API key is not valid any more" : listen_reason(&sse->listening);
    const struct live_event *event;
    char now[TIMESTAMP_TEXT_BYTES];

    if (listener_state(listener) == LISTENER_STARTING && !sse->revoked)
        return;
    if (reason != NULL) {
        say(sse, "closed", "reason", reason);
        sse->last = true;
        return;
    }
    if (!sse->greeted) {
        greet(sse);
        return;
    }
    event = listener_take(listener);
    if (event != NULL) {
        say_event(sse, event);
    } else if (sse->ping) {
        sse->ping = false;
        say(sse, "ping", "timestamp", listen_now(now));
    }
}

// --- the stream ----------------------------------------------------------------------------------

static enum web_more on_read(void *ctx, char *out, size_t cap, size_t *len)
{
    struct sse *sse = ctx;
    size_t left;

    if (sse->gone)
        return WEB_END;
    // A wake brings many events at once: they leave in one piece.
    while (sse->text.len - sse->sent < cap && !sse->last) {
        size_t before = sse->text.len;

        say_next(sse);
        if (sse->text.len == before)
            break;
    }
    left = sse->text.len - sse->sent;
    if (left == 0)
        return sse->last ? WEB_END : WEB_LATER;
    *len = left < cap ? left : cap;
    memcpy(out, sse->text.data + sse->sent, *len);
    sse->sent += *len;
    if (sse->sent == sse->text.len) {
        sse->sent = 0;
        if (sse->text.cap > TEXT_KEPT_BYTES)
            buf_fini(&sse->text);
        else
            buf_reset(&sse->text);
    }
    return WEB_MORE;
}

static void on_ready(void *ctx)
{
    struct sse *sse = ctx;

    web_wake(sse->web);
}

static void on_notice(void *ctx, const char *type, Text json)
{
    struct sse *sse = ctx;

    if (!sse->greeted || sse->text.len > NOTICES_MAX)
        return;
    buf_printf(&sse->text, "event: %s\ndata: ", type);
    put_json_line(&sse->text, (const char *)json.data, json.len);
    buf_puts(&sse->text, "\n\n");
    web_wake(sse->web);
}

static void on_tick(void *ctx)
{
    struct sse *sse = ctx;

    sse->revoked = !auth_still_holds(sse->listening.exchange);
    sse->ping = sse->ping || listen_ping_is_due(&sse->listening);
    if (sse->ping || sse->revoked)
        web_wake(sse->web);
}

static void on_gone(void *ctx)
{
    struct sse *sse = ctx;

    sse->gone = true;
    web_wake(sse->web);
}

static void on_end(void *ctx, bool whole)
{
    struct sse *sse = ctx;

    (void)whole;
    listen_end(&sse->listening);
    buf_fini(&sse->text);
}

void sse_listen(struct exchange *exchange)
{
    static const struct header headers[] = {
        {"Cache-Control",     "no-cache"},
        {"X-Accel-Buffering", "no"      },
    };
    struct sse *sse = arena_calloc(exchange->arena, 1, sizeof *sse);
    struct listener_config config = {
        .on_ready = on_ready, .on_notice = on_notice, .on_tick = on_tick, .ctx = sse};
    const struct web_stream stream = {
        .read = on_read, .gone = on_gone, .end = on_end, .ctx = sse, .block = BLOCK_BYTES};

    sse->web = exchange->request;
    if (!listen_read(&sse->listening, &config, exchange))
        return;
    sse->listening.listener = live_listen(exchange->gateway->live, &config);
    http_respond_stream(exchange, "text/event-stream; charset=utf-8", headers,
                        sizeof headers / sizeof headers[0], &stream);
}
