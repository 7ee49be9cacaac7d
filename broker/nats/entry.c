// Requests to JetStream, and the few fields of its answers that matter here.
#include "broker/nats/entry.h"

#include "broker/base/log.h"
#include "broker/nats/storage.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000

// Error codes of the server. Their texts change, the codes do not.
#define JS_WRONG_LAST_SEQUENCE 10071
#define JS_NO_MESSAGE 10037
#define JS_APPEND_IN_FLIGHT 10164 // another conditional append to the same subject, not yet decided
#define API_BYTES (SUBJECT_BYTES + STREAM_BYTES + 32)

struct waiting {
    entry_put_fn done;
    entry_got_fn got;
    void *ctx;
};

static struct waiting *waiting_create(entry_put_fn done, entry_got_fn got, void *ctx)
{
    struct waiting *waiting = malloc(sizeof *waiting);

    if (waiting == NULL)
        abort();
    *waiting = (struct waiting){done, got, ctx};
    return waiting;
}

// The number behind the first "name": in the server's answer, which is of a known shape and not
// outside input.
static bool answer_number(const struct msg *reply, const char *name, uint64_t *value)
{
    const char *text = msg_data(reply);
    size_t len = msg_len(reply);
    size_t name_len = strlen(name);
    size_t at = 0;

    while (at + name_len <= len && memcmp(text + at, name, name_len) != 0)
        at++;
    if (at + name_len > len)
        return false;
    *value = 0;
    for (at += name_len; at < len && text[at] >= '0' && text[at] <= '9'; at++)
        *value = *value * 10 + (uint64_t)(text[at] - '0');
    return true;
}

enum rc entry_read_answer(const struct msg *reply, uint64_t *sequence)
{
    uint64_t code;

    if (answer_number(reply, "\"err_code\":", &code)) {
        if (code == JS_WRONG_LAST_SEQUENCE || code == JS_APPEND_IN_FLIGHT)
            return RC_CONFLICT;
        if (storage_code_means_full(code)) {
            storage_refused(code);
            return RC_FULL;
        }
        log_error("entry.append", "err_code=%" PRIu64, code);
        return RC_IO;
    }
    if (answer_number(reply, "\"seq\":", sequence) && *sequence > 0)
        return RC_OK;
    log_error("entry.append", "error=\"answer is not understood\"");
    return RC_IO;
}

static void on_put(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting waiting = *(struct waiting *)ctx;
    uint64_t sequence = 0;

    free(ctx);
    if (rc == RC_OK)
        rc = entry_read_answer(reply, &sequence);
    waiting.done(waiting.ctx, rc, sequence);
}

void entry_put(struct requests *requests, const char *inbox, const struct entry_put *put,
               entry_put_fn done, void *ctx)
{
    char condition[24];
    const struct header header = {"Nats-Expected-Last-Subject-Sequence", condition};
    const struct request request = {.subject = put->subject,
                                    .inbox = inbox,
                                    .headers = &header,
                                    .header_count = put->expected != ENTRY_ANY ? 1 : 0,
                                    .data = put->data,
                                    .len = put->len,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_put,
                                    .ctx = waiting_create(done, NULL, ctx)};

    (void)snprintf(condition, sizeof condition, "%" PRIu64, put->expected);
    request_send(requests, &request);
}

static void on_got(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting waiting = *(struct waiting *)ctx;
    uint64_t sequence = 0;

    free(ctx);
    if (rc == RC_OK && (msg_status(reply) == 404 || msg_header(reply, "KV-Operation") != NULL))
        rc = RC_NOT_FOUND;
    if (rc == RC_OK && msg_status(reply) != 0) {
        log_error("entry.get", "status=%d", msg_status(reply));
        rc = RC_IO;
    }
    if (rc == RC_OK)
        sequence = msg_header_u64(reply, "Nats-Sequence", 0);
    waiting.got(waiting.ctx, rc, rc == RC_OK ? reply : NULL, sequence);
}

void entry_get(struct requests *requests, const char *inbox, const char *stream,
               const char *subject, entry_got_fn done, void *ctx)
{
    char api[API_BYTES];
    const struct request request = {.subject = api,
                                    .inbox = inbox,
                                    .data = "",
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_got,
                                    .ctx = waiting_create(NULL, done, ctx)};

    (void)snprintf(api, sizeof api, "$JS.API.DIRECT.GET.%s.%s", stream, subject);
    request_send(requests, &request);
}

enum rc entry_read_end(const struct msg *reply, uint64_t *last)
{
    if (answer_number(reply, "\"last_seq\":", last))
        return RC_OK;
    log_error("entry.end", "error=\"answer is not understood\"");
    return RC_IO;
}

static void on_end(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting waiting = *(struct waiting *)ctx;
    uint64_t last = 0;

    free(ctx);
    if (rc == RC_OK)
        rc = entry_read_end(reply, &last);
    waiting.done(waiting.ctx, rc, last);
}

void entry_end(struct requests *requests, const char *inbox, const char *stream, entry_put_fn done,
               void *ctx)
{
    char api[API_BYTES];
    const struct request request = {.subject = api,
                                    .inbox = inbox,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_end,
                                    .ctx = waiting_create(done, NULL, ctx)};

    (void)snprintf(api, sizeof api, "$JS.API.STREAM.INFO.%s", stream);
    request_send(requests, &request);
}

static enum rc read_last(const struct msg *reply, uint64_t *sequence)
{
    uint64_t code;

    *sequence = 0;
    if (answer_number(reply, "\"err_code\":", &code)) {
        if (code == JS_NO_MESSAGE)
            return RC_OK;
        log_error("entry.last", "err_code=%" PRIu64, code);
        return RC_IO;
    }
    if (answer_number(reply, "\"seq\":", sequence) && *sequence > 0)
        return RC_OK;
    log_error("entry.last", "error=\"answer is not understood\"");
    return RC_IO;
}

static void on_last(void *ctx, enum rc rc, struct msg *reply)
{
    struct waiting waiting = *(struct waiting *)ctx;
    uint64_t sequence = 0;

    free(ctx);
    if (rc == RC_OK)
        rc = read_last(reply, &sequence);
    waiting.done(waiting.ctx, rc, sequence);
}

void entry_last(struct requests *requests, const char *inbox, const char *stream,
                const char *subject, entry_put_fn done, void *ctx)
{
    char api[API_BYTES];
    char body[SUBJECT_BYTES + 32];
    struct request request = {.subject = api,
                              .inbox = inbox,
                              .data = body,
                              .timeout_ms = TIMEOUT_MS,
                              .done = on_last,
                              .ctx = waiting_create(done, NULL, ctx)};

    (void)snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.%s", stream);
    (void)snprintf(body, sizeof body, "{\"last_by_subj\":\"%s\"}", subject);
    request.len = strlen(body);
    request_send(requests, &request);
}
