// Compares marks with the stream, newest first, until one is found that is still there.
#include "broker/nats/rewind.h"

#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000
#define HEAD_BYTES                                                                                 \
    256 // of a message, which are compared with its length; a record begins with its id
#define STATUS_NOT_FOUND 404

struct check {
    struct requests *requests;
    const char *inbox;
    char stream[STREAM_BYTES];
    const struct marks *marks;
    uint64_t position;
    rewind_done_fn done;
    void *ctx;
    size_t tried; // marks that were looked at
    bool lost;    // one of them is another message now, or beyond the end
    uint64_t end; // of the stream
};

// FNV-1a, 64 bits (Fowler, Noll, Vo): two different messages of one sequence must differ, and
// nobody chooses them to deceive.
static uint64_t digest_of_message(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    size_t count = len < HEAD_BYTES ? len : HEAD_BYTES;
    uint64_t hash = 14695981039346656037ULL;

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    return (hash ^ len) * 1099511628211ULL;
}

void marks_note(struct marks *marks, uint64_t sequence, const void *data, size_t len)
{
    marks->items[marks->count++ % MARKS_MAX] =
        (struct mark){sequence, digest_of_message(data, len)};
}

static size_t marks_kept(const struct marks *marks)
{
    return marks->count < MARKS_MAX ? marks->count : MARKS_MAX;
}

// 0 is the newest.
static const struct mark *mark_at(const struct marks *marks, size_t age)
{
    return &marks->items[(marks->count - 1 - age) % MARKS_MAX];
}

static void finish(struct check *check, enum rc rc, bool lost, uint64_t place)
{
    rewind_done_fn done = check->done;
    void *ctx = check->ctx;

    free(check);
    done(ctx, rc, lost, place);
}

static void look_at_next(struct check *check);

static void on_message(void *ctx, enum rc rc, struct msg *reply)
{
    struct check *check = ctx;
    const struct mark *mark = mark_at(check->marks, check->tried);
    int status = rc == RC_OK ? msg_status(reply) : 0;

    if (rc != RC_OK || (status != 0 && status != STATUS_NOT_FOUND)) {
        finish(check, rc != RC_OK ? rc : RC_IO, false, 0);
        return;
    }
    if (status == 0 && mark->digest == digest_of_message(msg_data(reply), msg_len(reply))) {
        finish(check, RC_OK, check->lost, mark->sequence);
        return;
    }
    check->lost = check->lost || status == 0; // one that is gone may have been taken out
    check->tried++;
    look_at_next(check);
}

static void look_at_next(struct check *check)
{
    char subject[STREAM_BYTES + 32];
    char body[48];
    const struct mark *mark;
    struct request request = {.subject = subject,
                              .inbox = check->inbox,
                              .data = body,
                              .timeout_ms = TIMEOUT_MS,
                              .done = on_message,
                              .ctx = check};

    // What is beyond the end need not be asked for.
    while (check->tried < marks_kept(check->marks) &&
           mark_at(check->marks, check->tried)->sequence > check->end)
        check->tried++;
    if (check->tried == marks_kept(check->marks)) {
        finish(check, RC_OK, check->lost, 0);
        return;
    }
    mark = mark_at(check->marks, check->tried);
    (void)snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s", check->stream);
    (void)snprintf(body, sizeof body, "{\"seq\":%" PRIu64 "}", mark->sequence);
    request.len = strlen(body);
    request_send(check->requests, &request);
}

static void on_end(void *ctx, enum rc rc, struct msg *reply)
{
    struct check *check = ctx;

    if (rc == RC_OK)
        rc = entry_read_end(reply, &check->end);
    if (rc != RC_OK) {
        finish(check, rc, false, 0);
        return;
    }
    check->lost = check->end < check->position;
    if (marks_kept(check->marks) == 0)
        finish(check, RC_OK, check->lost, check->end);
    else
        look_at_next(check);
}

void rewind_check(struct requests *requests, const char *inbox, const char *stream,
                  const struct marks *marks, uint64_t position, rewind_done_fn done, void *ctx)
{
    struct check *check = calloc(1, sizeof *check);
    char subject[STREAM_BYTES + 32];
    const struct request request = {
        .subject = subject, .inbox = inbox, .timeout_ms = TIMEOUT_MS, .done = on_end, .ctx = check};

    if (check == NULL)
        abort();
    *check = (struct check){.requests = requests,
                            .inbox = inbox,
                            .marks = marks,
                            .position = position,
                            .done = done,
                            .ctx = ctx};
    (void)snprintf(check->stream, sizeof check->stream, "%s", stream);
    (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", stream);
    request_send(requests, &request);
}
