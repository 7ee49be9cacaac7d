// A job per packet: find its next record, delete it, until only the stub is left.
#include "workers/expiry/sweep.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_HAND_MAX 32
#define WAITING_MAX 100000 // packets; more are left to the next start of a worker
#define TIMEOUT_MS 3000
#define ARENA_BYTES 4096

struct job {
    struct job *next;
    struct sweep *sweep;
    struct arena *arena; // while it is in hand
    uint64_t stub;       // sequence
    uint64_t at;         // of the record to go, or where to look for it
    char tenant[TOKEN_MAX + 1];
    char packet_id[UUID_TEXT_BYTES];
};

struct sweep {
    struct run *run;
    struct job *first; // waiting
    struct job *last;
    size_t waiting;
    size_t in_hand;
    bool draining;
    struct metric *swept;
};

static void start_next(struct sweep *sweep);
static void find(struct job *job);

static void end(struct job *job, enum rc rc)
{
    struct sweep *sweep = job->sweep;

    if (rc != RC_OK)
        log_warn("sweep.left", "tenant=%s packet=%s reason=\"%s\"", job->tenant, job->packet_id,
                 rc_text(rc));
    arena_destroy(job->arena);
    free(job);
    sweep->in_hand--;
    start_next(sweep);
}

static void ask(struct job *job, const char *subject, const char *body, request_done_fn done)
{
    const struct request request = {
        .subject = subject,
        .inbox = run_name(job->sweep->run),
        .data = body,
        .len = strlen(body),
        .timeout_ms = TIMEOUT_MS,
        .done = done,
        .ctx = job,
    };

    request_send(run_requests(job->sweep->run), &request);
}

static void on_deleted(void *ctx, enum rc rc, struct msg *reply)
{
    struct job *job = ctx;

    (void)reply; // whether it was still there or not
    if (rc != RC_OK) {
        end(job, rc);
        return;
    }
    metric_add(job->sweep->swept, "", 1);
    job->at++;
    find(job);
}

static void on_found(void *ctx, enum rc rc, struct msg *reply)
{
    struct job *job = ctx;
    char stream[STREAM_BYTES];
    char subject[SUBJECT_BYTES];
    char body[64];

    if (rc != RC_OK) {
        end(job, rc);
        return;
    }
    job->at = msg_status(reply) == 0 ? msg_header_u64(reply, "Nats-Sequence", 0) : 0;
    if (job->at == 0 || job->at >= job->stub) {
        end(job, RC_OK);
        return;
    }
    subject_stream(stream, subject_shard(job->tenant, job->packet_id));
    (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.MSG.DELETE.%s", stream);
    (void)snprintf(body, sizeof body, "{\"seq\":%" PRIu64 ",\"no_erase\":true}", job->at);
    ask(job, subject, body, on_deleted);
}

// The packet's next record from job->at on.
static void find(struct job *job)
{
    char stream[STREAM_BYTES];
    char packet[SUBJECT_BYTES];
    char subject[SUBJECT_BYTES];
    char body[SUBJECT_BYTES + 64];

    subject_stream(stream, subject_shard(job->tenant, job->packet_id));
    subject_packet(packet, job->tenant, job->packet_id);
    (void)snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s", stream);
    (void)snprintf(body, sizeof body, "{\"seq\":%" PRIu64 ",\"next_by_subj\":\"%s\"}", job->at,
                   packet);
    ask(job, subject, body, on_found);
}

// The stub remembers where the packet began, so that nobody has to search the whole stream for it.
static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct job *job = ctx;
    const Hr__PacketRecord *record = stored->record;

    if (rc != RC_OK) {
        end(job, rc);
        return;
    }
    if (stored->sequence != job->stub || record->n_recent == 0 ||
        !record->recent[0]->has_sequence) {
        end(job, RC_OK); // no stub, or one that was put back into a stream that had lost it
        return;
    }
    job->at = record->recent[0]->sequence;
    find(job);
}

static void start_next(struct sweep *sweep)
{
    while (sweep->in_hand < IN_HAND_MAX && sweep->first != NULL && !sweep->draining) {
        struct job *job = sweep->first;

        sweep->first = job->next;
        if (sweep->first == NULL)
            sweep->last = NULL;
        sweep->waiting--;
        sweep->in_hand++;
        job->arena = arena_create(ARENA_BYTES);
        store_load(run_store(sweep->run), job->tenant, job->packet_id, job->arena, on_loaded, job);
    }
}

struct sweep *sweep_open(struct run *run)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);

    if (sweep == NULL)
        abort();
    sweep->run = run;
    sweep->swept =
        metric_create(METRIC_COUNTER, "handoffrail_records_swept_total",
                      "Records of archived packets taken out of the stream", "", NULL, 0);
    return sweep;
}

void sweep_drain(struct sweep *sweep)
{
    sweep->draining = true;
}

size_t sweep_in_hand(const struct sweep *sweep)
{
    return sweep->in_hand;
}

void sweep_close(struct sweep *sweep)
{
    if (sweep == NULL)
        return;
    while (sweep->first != NULL) {
        struct job *job = sweep->first;

        sweep->first = job->next;
        free(job);
    }
    free(sweep);
}

void sweep_packet(struct sweep *sweep, const char *tenant, const char *packet_id, uint64_t sequence)
{
    struct job *job;

    if (sweep->draining || sweep->waiting == WAITING_MAX)
        return;
    job = calloc(1, sizeof *job);
    if (job == NULL)
        abort();
    job->sweep = sweep;
    job->stub = sequence;
    (void)snprintf(job->tenant, sizeof job->tenant, "%s", tenant);
    (void)snprintf(job->packet_id, sizeof job->packet_id, "%s", packet_id);
    if (sweep->last != NULL)
        sweep->last->next = job;
    else
        sweep->first = job;
    sweep->last = job;
    sweep->waiting++;
    start_next(sweep);
}
