// A round: read up to PAGE chains that have moved, sign their heads, append them to the file,
// publish them, and note those that arrived. What fails is tried again in the next round; a head
// that is published twice says the same twice.
#include "workers/audit/announce.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"
#include "broker/message/json_write.h"
#include "broker/nats/subjects.h"
#include "broker/seal/seal_wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 256
#define TIMEOUT_MS 5000
#define ARENA_BYTES (1 << 16)

struct announcer {
    struct announce_config config;
    struct arena *arena; // of the round under way
    struct buf scratch;
    bool busy;
    bool again;              // was asked for while busy
    size_t page;             // chains of this round
    size_t waiting;          // answers that are still to come
    struct pg_array tenants; // whose heads have arrived
    struct pg_array numbers;
    struct metric *published;
};

// A head on its way; in the round's arena.
struct announcement {
    struct announcer *announcer;
    struct seal_head head;
};

static const struct pg_statement moved_statement = {
    "announce_moved",
    "SELECT tenant, number, epoch, seq, part, mac FROM audit_chains"
    " WHERE shard = $1 AND number > announced ORDER BY tenant LIMIT $2",
};

static const struct pg_statement note_statement = {
    "announce_note",
    "UPDATE audit_chains AS c SET announced = greatest(c.announced, u.number)"
    " FROM unnest($2, $3) AS u (tenant, number) WHERE c.shard = $1 AND c.tenant = u.tenant",
};

static void start(struct announcer *announcer);

struct announcer *announce_create(const struct announce_config *config)
{
    struct announcer *announcer = calloc(1, sizeof *announcer);

    if (announcer == NULL)
        abort();
    announcer->config = *config;
    announcer->arena = arena_create(ARENA_BYTES);
    pg_array_init(&announcer->tenants, PG_TEXT);
    pg_array_init(&announcer->numbers, PG_INT8);
    announcer->published =
        metric_create(METRIC_COUNTER, "handoffrail_audit_heads_total",
                      "Signed heads of the audit log that were published", "", NULL, 0);
    return announcer;
}

void announce_destroy(struct announcer *announcer)
{
    if (announcer == NULL)
        return;
    arena_destroy(announcer->arena);
    buf_fini(&announcer->scratch);
    pg_array_fini(&announcer->tenants);
    pg_array_fini(&announcer->numbers);
    free(announcer);
}

bool announce_is_busy(const struct announcer *announcer)
{
    return announcer->busy;
}

static void end_round(struct announcer *announcer, bool more)
{
    announcer->busy = false;
    if (more || announcer->again) {
        announcer->again = false;
        start(announcer);
    }
}

static void on_noted(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct announcer *announcer = ctx;

    (void)results;
    // Also when some of a full page failed: they are met again, behind the others no earlier.
    end_round(announcer,
              rc == RC_OK && announcer->page == PAGE && announcer->tenants.count == PAGE);
}

static void note(struct announcer *announcer)
{
    struct pg_param params[3] = {pg_int4((int32_t)announcer->config.shard)};
    enum rc rc = RC_NOT_FOUND;

    if (announcer->tenants.count > 0) {
        metric_add(announcer->published, "", announcer->tenants.count);
        rc = pg_array_param(&announcer->tenants, &params[1]);
    }
    if (rc == RC_OK)
        rc = pg_array_param(&announcer->numbers, &params[2]);
    if (rc == RC_OK)
        rc = pg_query(announcer->config.pg, &note_statement, params, 3, on_noted, announcer);
    if (rc != RC_OK)
        end_round(announcer, false);
}

static void arrived(struct announcer *announcer)
{
    if (--announcer->waiting == 0)
        note(announcer);
}

static void settle(const struct announcement *announcement, enum rc rc)
{
    struct announcer *announcer = announcement->announcer;

    if (rc == RC_OK) {
        pg_array_append(&announcer->tenants,
                        pg_text(announcement->head.tenant.data, announcement->head.tenant.len));
        pg_array_append(&announcer->numbers, pg_int8(announcement->head.count));
    } else {
        log_warn("announce.failed", "tenant=%.*s reason=\"%s\"",
                 TEXT_ARGS(announcement->head.tenant), rc_text(rc));
    }
    arrived(announcer);
}

static void on_published(void *ctx, enum rc rc, struct msg *reply)
{
    const struct announcement *announcement = ctx;

    if (rc == RC_OK &&
        strstr(arena_copy(announcement->announcer->arena, msg_data(reply), msg_len(reply)),
               "\"error\"") != NULL)
        rc = RC_REFUSED; // by the stream
    settle(announcement, rc);
}

// The whole of the round in one write, so that lines of two processes do not mix.
static enum rc append_to_file(const struct announcer *announcer, const struct buf *lines)
{
    const char *path = announcer->config.file;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write(fd, lines->data, lines->len) == (ssize_t)lines->len;

    if (!ok)
        log_error("announce.file", "file=\"%s\" error=\"%s\"", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return ok ? RC_OK : RC_IO;
}

static struct announcement *make_announcement(struct announcer *announcer,
                                              const struct pg_result *rows, int row)
{
    struct announcement *announcement = arena_calloc(announcer->arena, 1, sizeof *announcement);
    struct seal_head *head = &announcement->head;
    size_t len;
    const void *data = pg_get_bytes(rows, row, 0, &len);
    enum rc rc;

    announcement->announcer = announcer;
    head->tenant = text_copy(announcer->arena, data, len);
    head->shard = announcer->config.shard;
    head->count = pg_get_int(rows, row, 1);
    head->epoch = pg_get_int(rows, row, 2);
    head->seq = pg_get_int(rows, row, 3);
    head->part = pg_get_int(rows, row, 4);
    data = pg_get_bytes(rows, row, 5, &len);
    memcpy(head->mac, data, len < SEAL_BYTES ? len : SEAL_BYTES);
    head->key = keyring_newest(announcer->config.ring);
    head->at_us = timestamp_now_us();
    rc = seal_head_signature(head->signature, head, announcer->config.ring, &announcer->scratch);
    assert(rc == RC_OK); // the ring named the key
    (void)rc;
    return announcement;
}

static void publish(struct announcement *announcement, Text line)
{
    static const struct header json = {HEADER_CONTENT_TYPE, TYPE_JSON};
    struct announcer *announcer = announcement->announcer;
    const char *tenant = (const char *)announcement->head.tenant.data;
    char subject[SUBJECT_BYTES];
    const struct request request = {
        .subject = subject,
        .inbox = run_name(announcer->config.run),
        .headers = &json,
        .header_count = 1,
        .data = line.data,
        .len = line.len,
        .timeout_ms = TIMEOUT_MS,
        .done = on_published,
        .ctx = announcement,
    };

    if (!token_is_safe(tenant, announcement->head.tenant.len)) {
        settle(announcement, RC_OK); // no program of ours made such a subject: the file has to do
        return;
    }
    subject_audit_head(subject, tenant);
    request_send(run_requests(announcer->config.run), &request);
}

static void on_moved(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct announcer *announcer = ctx;
    size_t count = rc == RC_OK ? (size_t)pg_rows(results[0]) : 0;
    struct announcement **announcements = arena_calloc(announcer->arena, count, sizeof(void *));
    Text *lines = arena_calloc(announcer->arena, count, sizeof *lines);
    struct buf all = {0};

    for (size_t i = 0; i < count; i++) {
        announcements[i] = make_announcement(announcer, results[0], (int)i);
        lines[i] = json_of_message(
            announcer->arena, &seal_head_to_wire(announcer->arena, &announcements[i]->head)->base);
        buf_append(&all, lines[i].data, lines[i].len);
        buf_puts(&all, "\n");
    }
    if (count > 0 && announcer->config.file != NULL)
        rc = append_to_file(announcer, &all);
    buf_fini(&all);
    if (count == 0 || rc != RC_OK) {
        end_round(announcer, false);
        return;
    }
    announcer->page = count;
    announcer->waiting = count + 1; // until all are sent: some may be done at once
    for (size_t i = 0; i < count; i++)
        publish(announcements[i], lines[i]);
    arrived(announcer);
}

static void start(struct announcer *announcer)
{
    const struct pg_param params[] = {pg_int4((int32_t)announcer->config.shard), pg_int8(PAGE)};

    arena_reset(announcer->arena);
    pg_array_reset(&announcer->tenants);
    pg_array_reset(&announcer->numbers);
    announcer->busy =
        pg_query(announcer->config.pg, &moved_statement, params, 2, on_moved, announcer) == RC_OK;
}

void announce_heads(struct announcer *announcer)
{
    announcer->again = announcer->busy;
    if (!announcer->busy)
        start(announcer);
}
