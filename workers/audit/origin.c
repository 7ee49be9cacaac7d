// The search halves the range (low, high] with these invariants: up to low the stream and Postgres
// agree, behind high they do not. What cannot be compared, because one side has nothing at that
// sequence (trimmed, or a gap), is skipped downwards, and counts as equal when nothing below it
// differs. Some 25 comparisons for 30 million records.
#include "workers/audit/origin.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 3000

enum stage {
    STAGE_INFO,   // what the stream is
    STAGE_PLACE,  // the event at the place
    STAGE_SEARCH, // the fork
};

struct origin_check {
    struct requests *requests;
    const char *inbox;
    const char *stream;
    struct projection *projection;
    struct projection_place place; // at the start: it may move on meanwhile
    bool looks;                    // and searches for nothing
    origin_done done;
    void *ctx;
    struct origin_check **owner; // where the caller keeps it; NULL: forgotten
    enum stage stage;
    struct origin_verdict verdict;
    uint64_t low;
    uint64_t high;
    uint64_t middle;
    uint64_t probe; // what is compared now: middle or, when that cannot be, below it
    struct uuid expected;
};

static void compare(struct origin_check *check);

static void finish(struct origin_check *check, enum rc rc)
{
    if (check->owner != NULL) {
        *check->owner = NULL;
        check->done(check->ctx, rc, rc == RC_OK ? &check->verdict : NULL);
    }
    free(check);
}

static void finish_new_epoch(struct origin_check *check, uint64_t fork_seq, const char *reason)
{
    check->verdict.same = false;
    check->verdict.fork_seq = fork_seq;
    check->verdict.reason = reason;
    finish(check, RC_OK);
}

static void search(struct origin_check *check)
{
    if (check->low == check->high || check->looks) {
        finish_new_epoch(check, check->low, "the stream has lost its tail");
        return;
    }
    check->middle = check->low + (check->high - check->low + 1) / 2;
    check->probe = check->middle;
    compare(check);
}

enum likeness { LIKE_SAME, LIKE_OTHER, LIKE_UNKNOWN };

static void on_compared(struct origin_check *check, enum likeness likeness)
{
    if (check->stage == STAGE_PLACE) {
        // Trimmed, or on a replica that lags: no reason to doubt.
        check->verdict.same = likeness != LIKE_OTHER;
        if (check->verdict.same) {
            finish(check, RC_OK);
            return;
        }
        check->stage = STAGE_SEARCH;
        check->low = 0;
        check->high = check->probe - 1;
        search(check);
        return;
    }
    if (likeness == LIKE_UNKNOWN && check->probe - 1 > check->low) {
        check->probe--;
        compare(check);
        return;
    }
    if (likeness == LIKE_OTHER)
        check->high = check->probe - 1;
    else
        check->low = check->middle;
    search(check);
}

static void on_record(void *ctx, enum rc rc, struct msg *reply)
{
    struct origin_check *check = ctx;
    ProtobufCMessage *message;
    enum likeness likeness = LIKE_OTHER;
    struct arena *arena;
    struct uuid id;

    if (check->owner == NULL || rc != RC_OK) {
        finish(check, rc);
        return;
    }
    if (msg_status(reply) != 0) {
        on_compared(check, LIKE_UNKNOWN);
        return;
    }
    arena = arena_create(1 << 14);
    if (wire_unpack(&message, arena, &hr__packet_record__descriptor, msg_data(reply),
                    msg_len(reply)) == RC_OK) {
        const Hr__Event *event = ((Hr__PacketRecord *)message)->event;

        if (event != NULL && uuid_parse((const char *)event->id.data, event->id.len, &id) == NULL &&
            memcmp(&id, &check->expected, sizeof id) == 0)
            likeness = LIKE_SAME;
    }
    arena_destroy(arena);
    on_compared(check, likeness);
}

static void get_record(struct origin_check *check)
{
    char subject[STREAM_BYTES + 32];
    char body[48];
    int len = snprintf(body, sizeof body, "{\"seq\":%" PRIu64 "}", check->probe);
    const struct request request = {
        .subject = subject,
        .inbox = check->inbox,
        .data = body,
        .len = (size_t)len,
        .timeout_ms = TIMEOUT_MS,
        .done = on_record,
        .ctx = check,
    };

    (void)snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s", check->stream);
    request_send(check->requests, &request);
}

static void on_event(void *ctx, enum rc rc, const struct uuid *event_id)
{
    struct origin_check *check = ctx;

    if (check->owner == NULL || (rc != RC_OK && rc != RC_NOT_FOUND)) {
        finish(check, rc);
    } else if (rc == RC_NOT_FOUND) {
        on_compared(check, LIKE_UNKNOWN);
    } else {
        check->expected = *event_id;
        get_record(check);
    }
}

// The two sides at check->probe.
static void compare(struct origin_check *check)
{
    const struct projection_place *place = &check->place;
    enum rc rc;

    if (check->stage == STAGE_PLACE) {
        check->expected = place->last_event_id;
        get_record(check);
        return;
    }
    rc = projection_event_at(check->projection, check->probe, on_event, check);
    if (rc != RC_OK)
        finish(check, rc);
}

static void judge(struct origin_check *check, uint64_t last_seq)
{
    const struct projection_place *place = &check->place;
    static const struct uuid unreadable;

    if (place->epoch == 0) {
        finish_new_epoch(check, 0, "first start");
    } else if (place->stream_created_us != check->verdict.stream_created_us) {
        finish_new_epoch(check, 0, "the stream was made again");
    } else if (last_seq < place->last_seq) {
        check->stage = STAGE_SEARCH;
        check->low = 0;
        check->high = last_seq;
        search(check);
    } else if (place->last_seq == 0 || !place->has_event ||
               memcmp(&place->last_event_id, &unreadable, sizeof unreadable) == 0) {
        check->verdict.same = true; // nothing to compare
        finish(check, RC_OK);
    } else {
        check->stage = STAGE_PLACE;
        check->probe = place->last_seq;
        compare(check);
    }
}

// Members of the server's own answer; their names occur once.
static const char *member(const char *answer, const char *name)
{
    const char *at = strstr(answer, name);

    return at != NULL ? at + strlen(name) : NULL;
}

static void on_info(void *ctx, enum rc rc, struct msg *reply)
{
    struct origin_check *check = ctx;
    const char *created;
    const char *last_seq;
    char *answer;

    if (check->owner == NULL || rc != RC_OK) {
        finish(check, rc);
        return;
    }
    answer = strndup(msg_data(reply), msg_len(reply));
    if (answer == NULL)
        abort();
    created = member(answer, "\"created\":\"");
    last_seq = member(answer, "\"last_seq\":");
    if (created == NULL || last_seq == NULL ||
        timestamp_parse(created, strcspn(created, "\""), &check->verdict.stream_created_us) !=
            NULL) {
        log_error("origin.info", "stream=%s reason=\"the answer is not understood\"",
                  check->stream);
        finish(check, RC_CORRUPT);
    } else {
        judge(check, strtoull(last_seq, NULL, 10));
    }
    free(answer);
}

static void begin(struct origin_check **check, const struct origin_check *fields)
{
    struct origin_check *begun = calloc(1, sizeof *begun);
    char subject[STREAM_BYTES + 32];
    const struct request request = {
        .subject = subject,
        .inbox = fields->inbox,
        .timeout_ms = TIMEOUT_MS,
        .done = on_info,
        .ctx = begun,
    };

    if (begun == NULL)
        abort();
    *begun = *fields;
    begun->owner = check;
    begun->place = *projection_place(begun->projection);
    *check = begun;
    (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", begun->stream);
    request_send(begun->requests, &request);
}

void origin_begin(struct origin_check **check, struct requests *requests, const char *inbox,
                  const char *stream, struct projection *projection, origin_done done, void *ctx)
{
    begin(check, &(struct origin_check){.requests = requests,
                                        .inbox = inbox,
                                        .stream = stream,
                                        .projection = projection,
                                        .done = done,
                                        .ctx = ctx});
}

void origin_look(struct origin_check **check, struct requests *requests, const char *inbox,
                 const char *stream, struct projection *projection, origin_done done, void *ctx)
{
    begin(check, &(struct origin_check){.requests = requests,
                                        .inbox = inbox,
                                        .stream = stream,
                                        .projection = projection,
                                        .looks = true,
                                        .done = done,
                                        .ctx = ctx});
}

void origin_forget(struct origin_check **check)
{
    if (*check != NULL)
        (*check)->owner = NULL;
    *check = NULL;
}
