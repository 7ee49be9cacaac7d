// Creating streams and buckets, and refusing servers that would break the one promise everything
// stands on: that a conditional append is accepted once.
//
// A clustered nats-server before 2.11 accepts several appends under the same condition (measured:
// 18,351 of 243,256). Such a server says in its stream info that it is clustered and does not say
// in its account info which API level it has.
#include "broker/nats/topology.h"

#include "broker/base/buf.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_TIMEOUT_MS 3000
#define GIVEN_DAYS 30
#define RETRY_MS 200
#define TELL_AFTER_NS 3000000000LL // when to say first what is waited for; and then
#define TELL_EVERY_NS 30000000000LL
#define JS_STREAM_NOT_FOUND "\"err_code\":10059"
#define JS_NAME_IN_USE "\"err_code\":10058"

struct ensure {
    struct requests *requests;
    struct topology_config config;
    topology_done_fn done;
    void *ctx;
    uv_timer_t timer;
    int64_t deadline_ns; // 0: none
    int64_t told_at_ns;  // when it was last said what is waited for
    bool leveled;        // the server's level is known
    size_t stream;       // the one in work
    enum {
        LOOKING,
        CREATING, // it was not there
        CHANGING, // it lacks what it needs
    } state;
    char *wanted;   // while changing: its configuration as it shall be
    bool has_level; // 2.11 or newer
    enum rc result;
};

static void take_step(struct ensure *ensure);

// --- what there is -------------------------------------------------------------------------------

// Settings: see docs/decisions on the stream. max_msgs_per_subject binds nothing; it selects the
// server's smaller block size, which makes cold reads cheaper.
static void packets_config(struct buf *out, const char *stream, int64_t replicas)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"subjects\":[\"hr.v1.packet.0.*.*\"],"
               "\"storage\":\"file\",\"num_replicas\":%" PRId64 ",\"retention\":\"limits\","
               "\"discard\":\"new\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
               "\"max_age\":0,\"max_msg_size\":-1,\"max_msgs_per_subject\":100000,"
               "\"allow_direct\":true,\"allow_rollup_hdrs\":false,\"deny_delete\":false,"
               "\"duplicate_window\":100000000,"
               "\"republish\":{\"src\":\"hr.v1.packet.0.*.*\","
               "\"dest\":\"hr.v1.event.{{wildcard(1)}}.{{wildcard(2)}}\"}}",
               stream, replicas);
}

// What the server makes of a key-value bucket.
static void bucket_config(struct buf *out, const char *stream, int64_t replicas)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"subjects\":[\"$KV.%s.>\"],"
               "\"storage\":\"file\",\"num_replicas\":%" PRId64 ",\"retention\":\"limits\","
               "\"discard\":\"new\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
               "\"max_age\":0,\"max_msg_size\":-1,\"max_msgs_per_subject\":5,"
               "\"allow_direct\":true,\"allow_rollup_hdrs\":false,\"deny_delete\":true,"
               "\"duplicate_window\":120000000000}",
               stream, stream + strlen("KV_"), replicas);
}

// The newest heads of each tenant; nobody may take one out in between.
static void heads_config(struct buf *out, const char *stream, int64_t replicas)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"subjects\":[\"" SUBJECT_AUDIT_HEADS "\"],"
               "\"storage\":\"file\",\"num_replicas\":%" PRId64 ",\"retention\":\"limits\","
               "\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
               "\"max_age\":0,\"max_msg_size\":-1,\"max_msgs_per_subject\":1000,"
               "\"allow_direct\":true,\"deny_delete\":true,\"deny_purge\":true,"
               "\"duplicate_window\":100000000}",
               stream, replicas);
}

// Two weeks of deliveries: twice as long as one may wait for its next attempt.
static void deliveries_config(struct buf *out, const char *stream, int64_t replicas)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"subjects\":[\"" SUBJECT_DELIVERIES "\"],"
               "\"storage\":\"file\",\"num_replicas\":%" PRId64 ",\"retention\":\"limits\","
               "\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
               "\"max_age\":1209600000000000,\"max_msg_size\":-1,"
               "\"max_msgs_per_subject\":100000,\"allow_direct\":true,\"deny_delete\":true,"
               "\"deny_purge\":true,\"duplicate_window\":100000000}",
               stream, replicas);
}

// What claim-next has given to a request, and what others were answered, is kept as long as
// somebody may ask again.
static void given_config(struct buf *out, const char *stream, int64_t replicas)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"subjects\":[\"" SUBJECT_GIVEN "\"],"
               "\"storage\":\"file\",\"num_replicas\":%" PRId64 ",\"retention\":\"limits\","
               "\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
               "\"max_age\":%lld,\"max_msg_size\":-1,\"max_msgs_per_subject\":1,"
               "\"allow_direct\":true,\"deny_delete\":true,\"deny_purge\":true,"
               "\"duplicate_window\":100000000}",
               stream, replicas, GIVEN_DAYS * 86400 * 1000000000LL);
}

static const struct {
    const char *name;
    void (*config)(struct buf *out, const char *stream, int64_t replicas);
} streams[] = {
    {"HR_PACKETS_0",     packets_config   },
    {STREAM_KEYS,        bucket_config    },
    {STREAM_TENANTS,     bucket_config    },
    {STREAM_SCHEMAS,     bucket_config    },
    {STREAM_AUDIT_HEADS, heads_config     },
    {STREAM_GIVEN,       given_config     },
    {STREAM_HOOKS,       bucket_config    },
    {STREAM_OWNERS,      bucket_config    },
    {STREAM_DELIVERIES,  deliveries_config},
};

#define STREAMS (sizeof streams / sizeof streams[0])

// --- making it so --------------------------------------------------------------------------------

static void on_timer_closed(uv_handle_t *handle)
{
    struct ensure *ensure = handle->data;

    ensure->done(ensure->ctx, ensure->result);
    free(ensure);
}

static void finish(struct ensure *ensure, enum rc rc)
{
    ensure->result = rc;
    uv_close((uv_handle_t *)&ensure->timer, on_timer_closed);
}

static void on_retry(uv_timer_t *timer)
{
    take_step(timer->data);
}

static void retry(struct ensure *ensure, const char *why)
{
    int64_t now_ns = clock_now_ns();

    if (ensure->deadline_ns == 0) {
        if (now_ns - ensure->told_at_ns > TELL_EVERY_NS) {
            log_warn("topology.waiting", "stream=%s reason=\"%s\"", streams[ensure->stream].name,
                     why);
            ensure->told_at_ns = now_ns;
        }
    } else if (now_ns > ensure->deadline_ns) {
        log_error("topology.gave_up", "stream=%s reason=\"%s\"", streams[ensure->stream].name, why);
        finish(ensure, RC_UNAVAILABLE);
        return;
    }
    uv_timer_start(&ensure->timer, on_retry, RETRY_MS, 0);
}

// The answers are the server's own; what is looked for in them are fixed words of its API.
static bool answer_has(const char *answer, const char *word)
{
    return strstr(answer, word) != NULL;
}

bool topology_is_clustered(const char *stream_info)
{
    static const char member[] = "\"cluster\":{";
    static const char leader[] = "\"leader\":\"";
    const char *at = strstr(stream_info, member);

    if (at == NULL)
        return false;
    at += sizeof member - 1;
    if (strncmp(at, leader, sizeof leader - 1) != 0)
        return true;
    at += sizeof leader - 1;
    at += strcspn(at, "\"");
    return strncmp(at, "\"}", 2) != 0; // a name of the cluster, or replicas
}

static void refuse_server(struct ensure *ensure)
{
    log_error(
        "topology.server_too_old",
        "reason=\"this nats-server is clustered and older than 2.11: it can accept two claims of "
        "one packet; use 2.11 or newer, or a single server\"");
    finish(ensure, RC_CONFIG);
}

static void look(struct ensure *ensure)
{
    ensure->state = LOOKING;
    take_step(ensure);
}

static void create(struct ensure *ensure)
{
    ensure->state = CREATING;
    take_step(ensure);
}

static void next_stream(struct ensure *ensure)
{
    if (++ensure->stream == STREAMS)
        finish(ensure, RC_OK);
    else
        look(ensure);
}

static void on_level(struct ensure *ensure, const char *answer)
{
    if (answer_has(answer, "\"error\":")) {
        retry(ensure, "JetStream is not enabled");
        return;
    }
    ensure->has_level = answer_has(answer, "\"level\":");
    ensure->leveled = true;
    look(ensure);
}

static void on_info(struct ensure *ensure, const char *answer)
{
    if (answer_has(answer, JS_STREAM_NOT_FOUND)) {
        if (ensure->config.create)
            create(ensure);
        else
            retry(ensure, "the stream does not exist yet");
    } else if (answer_has(answer, "\"error\":")) {
        retry(ensure, "the server refuses to tell about the stream");
    } else if (topology_is_clustered(answer) && !ensure->has_level) {
        refuse_server(ensure);
    } else {
        if (streams[ensure->stream].config == packets_config &&
            answer_has(answer, "\"num_replicas\":") && !answer_has(answer, "\"num_replicas\":1,"))
            *ensure->config.replicated = true;
        if (streams[ensure->stream].config == packets_config &&
            answer_has(answer, "\"deny_delete\":true"))
            log_warn("topology.no_delete",
                     "stream=%s reason=\"made by an earlier version: what is archived keeps its "
                     "room there\"",
                     streams[ensure->stream].name);
        next_stream(ensure);
    }
}

static void on_create(struct ensure *ensure, const char *answer)
{
    if (answer_has(answer, "\"error\":") && !answer_has(answer, JS_NAME_IN_USE)) {
        const char *text = strstr(answer, "\"description\":\"");
        char why[128];

        (void)snprintf(why, sizeof why, "the server refuses to make the stream: %.*s",
                       text != NULL ? (int)strcspn(text + 15, "\"") : 0,
                       text != NULL ? text + 15 : "");
        retry(ensure, why);
        return;
    }
    look(ensure); // at what is there now
}

static void on_answer(void *ctx, enum rc rc, struct msg *reply)
{
    struct ensure *ensure = ctx;
    char *answer;

    if (rc == RC_CLOSED) {
        finish(ensure, rc);
        return;
    }
    if (rc != RC_OK) {
        retry(ensure, rc_text(rc));
        return;
    }
    answer = strndup(msg_data(reply), msg_len(reply));
    if (answer == NULL)
        abort();
    if (!ensure->leveled)
        on_level(ensure, answer);
    else if (ensure->state != LOOKING)
        on_create(ensure, answer);
    else
        on_info(ensure, answer);
    free(answer);
}

static void take_step(struct ensure *ensure)
{
    static const char *const verbs[] = {"INFO", "CREATE"};
    const char *stream = streams[ensure->stream].name;
    char subject[SUBJECT_BYTES];
    struct buf body = {0};
    struct request request = {.subject = subject,
                              .inbox = ensure->config.inbox,
                              .timeout_ms = STEP_TIMEOUT_MS,
                              .done = on_answer,
                              .ctx = ensure};

    if (!ensure->leveled)
        (void)snprintf(subject, sizeof subject, "$JS.API.INFO");
    else
        (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.%s", verbs[ensure->state],
                       stream);
    if (ensure->state == CREATING)
        streams[ensure->stream].config(&body, stream, ensure->config.replicas);
    request.data = body.data;
    request.len = body.len;
    request_send(ensure->requests, &request);
    buf_fini(&body);
}

void topology_ensure(struct requests *requests, uv_loop_t *loop,
                     const struct topology_config *config, int64_t wait_ms, topology_done_fn done,
                     void *ctx)
{
    struct ensure *ensure = calloc(1, sizeof *ensure);

    static_assert(SHARD_COUNT == 1, "streams[] names the one stream");
    if (ensure == NULL)
        abort();
    *ensure = (struct ensure){
        .requests = requests,
        .config = *config,
        .done = done,
        .ctx = ctx,
        .deadline_ns = wait_ms > 0 ? clock_now_ns() + wait_ms * 1000000 : 0,
        // What is normal while several programs start is not said at once.
        .told_at_ns = clock_now_ns() - TELL_EVERY_NS + TELL_AFTER_NS,
    };
    uv_timer_init(loop, &ensure->timer);
    ensure->timer.data = ensure;
    take_step(ensure);
}
