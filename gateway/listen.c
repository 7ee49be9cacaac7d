// Channels come from the query, the place from Last-Event-ID or `since`.
#include "gateway/listen.h"

#include "broker/base/id.h"
#include "broker/base/timestamp.h"
#include "broker/message/issues.h"
#include "gateway/http.h"
#include "gateway/live/place.h"

static enum rc complain(const struct exchange *exchange, const char *name, const char *type,
                        const char *message, struct problem *problem)
{
    struct issues issues = {.arena = exchange->arena};
    struct path path = {0};

    path_push_name(&path, text_of("query"));
    path_push_name(&path, text_of(name));
    (void)issues_add(&issues, &path, type, message);
    return issues_to_problem(&issues, problem);
}

static enum rc read_channels(const struct exchange *exchange, struct channels *channels,
                             struct problem *problem)
{
    size_t count;
    const struct web_parameter *parameters = web_parameters(exchange->request, &count);

    for (size_t i = 0; i < count; i++) {
        const struct web_parameter *it = &parameters[i];
        Text name = {it->value_len, (uint8_t *)(uintptr_t)it->value};

        if (strcmp(it->name, "subscribe") != 0 || name.len == 0)
            continue;
        if (name.len > CHANNEL_MAX || !channels_add(channels, name, 0, 0))
            return complain(exchange, "subscribe", "too_long",
                            "Too many channels, or too long a name of one", problem);
    }
    return RC_OK;
}

static const char *query_value(const void *request, const char *name)
{
    return web_query(request, name);
}

// A client that comes back says what it has heard last.
static enum rc read_place(const struct exchange *exchange, struct listener_config *config,
                          struct problem *problem)
{
    struct place place =
        place_read(web_header(exchange->request, "Last-Event-ID"), query_value, exchange->request);

    config->resumes = place.given;
    config->since = place.since;
    if (place.wrong == NULL)
        return RC_OK;
    return complain(exchange, place.wrong, "int_parsing",
                    "Input should be the id of an event: a whole number", problem);
}

bool listen_read(struct listening *listening, struct listener_config *config,
                 struct exchange *exchange)
{
    struct channels *channels = channels_create(0);
    struct uuid id = uuid_new();
    struct problem problem;
    enum rc rc = read_channels(exchange, channels, &problem);

    if (rc == RC_OK)
        rc = read_place(exchange, config, &problem);
    if (rc != RC_OK) {
        channels_destroy(channels);
        http_refuse(exchange, &problem);
        return false;
    }
    *listening =
        (struct listening){.exchange = exchange, .channels = channels, .pinged_ns = clock_now_ns()};
    uuid_format(listening->id, &id);
    config->tenant = exchange->caller.tenant;
    config->channels = channels;
    return true;
}

void listen_end(struct listening *listening)
{
    listener_close(listening->listener);
    listening->listener = NULL;
    channels_destroy(listening->channels);
    listening->channels = NULL;
}

bool listen_ping_is_due(struct listening *listening)
{
    int64_t now = clock_now_ns();

    if (now - listening->pinged_ns < listening->exchange->gateway->ping_seconds * 1000000000)
        return false;
    listening->pinged_ns = now;
    return true;
}

const char *listen_reason(const struct listening *listening)
{
    switch (listener_state(listening->listener)) {
    case LISTENER_SLOW:
        return "too slow: too many events are waiting; come back with the id of the last one";
    case LISTENER_RESET:
        return "the stream has lost its end: events may be told again; come back";
    case LISTENER_SHUTDOWN:
        return "this gateway is shutting down; come back";
    case LISTENER_STARTING:
    case LISTENER_HEARS:
        break;
    }
    return NULL;
}

const char *listen_now(char buffer[TIMESTAMP_TEXT_BYTES])
{
    timestamp_format(buffer, timestamp_now_us());
    return buffer;
}
