// The changes run side by side: NATS takes their requests one behind the other, so fifty cost
// little more round trips than one. Only an id that comes again waits, for the one before it.
#include "broker/rail/batch.h"

#include "broker/base/digest.h"
#include "broker/rail/commands.h"
#include "broker/rail/given.h"
#include "broker/rail/packet_view.h"

struct running;

struct job {
    struct running *running;
    struct batch_item *item;
    struct change_spec spec;
    struct job *later; // the same packet comes again
};

struct running {
    struct command *command;
    struct store *store;
    struct batch *batch;
    struct job *jobs;
    size_t left;
    Text digest; // of the whole; empty: no idempotency key
};

static void start(struct job *job);

static void finish(struct running *running)
{
    uint64_t highest = 0;

    for (size_t i = 0; i < running->batch->count; i++) {
        if (running->batch->items[i].sequence > highest)
            highest = running->batch->items[i].sequence;
    }
    running->batch->done(running->command, running->batch, highest);
}

static void release(struct running *running)
{
    if (--running->left == 0)
        finish(running);
}

static void end(struct job *job)
{
    struct running *running = job->running;

    if (job->later != NULL)
        start(job->later);
    release(running);
}

static void on_whole(void *ctx, const struct problem *problem, Hr__Packet *packet,
                     uint64_t sequence)
{
    struct job *job = ctx;

    (void)sequence;
    job->item->packet = packet;
    if (problem != NULL)
        job->item->error = "The change was stored, but the packet cannot be shown";
    end(job);
}

// Of what was checked elsewhere the contract tells the status as well.
static const char *error_of(const struct job *job, const struct problem *problem)
{
    if (job->item->check == NULL || problem->code != PROBLEM_VALIDATION)
        return problem_text(problem);
    return arena_printf(job->running->command->arena, "%u: %s", problem_status(problem->code),
                        problem_text(problem));
}

static void on_changed(void *ctx, enum rc rc, const struct stored *stored,
                       const struct problem *problem)
{
    struct job *job = ctx;
    struct running *running = job->running;

    if (rc != RC_OK) {
        job->item->error = error_of(job, problem);
        end(job);
        return;
    }
    job->item->sequence = stored->sequence;
    whole_load(running->store, running->command->tenant, stored->record->packet, stored->sequence,
               running->command->arena, on_whole, job);
}

static void start(struct job *job)
{
    if (job->item->request == NULL)
        end(job);
    else
        change_run(job->running->store, &job->spec, job->running->command->arena, on_changed, job);
}

static const char *key_of(const struct command *command, size_t index)
{
    if (command->idempotency_key == NULL)
        return NULL;
    return arena_printf(command->arena, "%s/%zu", command->idempotency_key, index);
}

// The last job before this one that is about the same packet.
static struct job *find_earlier(struct job *jobs, size_t index)
{
    const char *id = jobs[index].item->packet_id;

    for (size_t i = index; id != NULL && i-- > 0;) {
        if (strcmp(jobs[i].item->packet_id, id) == 0)
            return &jobs[i];
    }
    return NULL;
}

static void make_job(struct running *running, size_t index)
{
    struct command *command = running->command;
    struct job *job = &running->jobs[index];

    job->running = running;
    job->item = &running->batch->items[index];
    job->spec = (struct change_spec){
        .tenant = command->tenant,
        .key_id = command->key_id,
        .verb = running->batch->verb,
        .packet_id = job->item->packet_id,
        .idempotency_key = key_of(command, index),
        .claim = job->item->claim,
        .look_first = job->item->check != NULL,
        .check = job->item->check,
        .decide = running->batch->decide,
        .ctx = job->item->ctx != NULL ? job->item->ctx : command->decide_ctx,
        .request = job->item->request,
    };
}

static void run(struct running *running)
{
    size_t count = running->batch->count;
    bool *waits = arena_calloc(running->command->arena, count, sizeof *waits);

    running->left = count + 1; // 1: this call
    running->jobs = arena_calloc(running->command->arena, count, sizeof *running->jobs);
    for (size_t i = 0; i < count; i++) {
        struct job *earlier;

        make_job(running, i);
        earlier = find_earlier(running->jobs, i);
        waits[i] = earlier != NULL;
        if (earlier != NULL)
            earlier->later = &running->jobs[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (!waits[i])
            start(&running->jobs[i]);
    }
    release(running);
}

// --- one key, one batch --------------------------------------------------------------------------

#define PIECES 3 // of an item

static void piece_together(struct piece pieces[PIECES], const struct batch_item *item,
                           struct arena *arena)
{
    const char *id = item->packet_id != NULL ? item->packet_id : "";
    Text request = item->request != NULL ? wire_pack(arena, item->request) : text_of(item->error);

    pieces[0] = (struct piece){id, strlen(id)};
    pieces[1] = (struct piece){request.data, request.len};
    pieces[2] = (struct piece){&item->claim, sizeof item->claim};
}

static Text digest_batch(const struct batch *batch, struct arena *arena)
{
    struct piece *pieces = arena_calloc(arena, 1 + PIECES * batch->count, sizeof *pieces);
    uint8_t digest[DIGEST_BYTES];

    pieces[0] = (struct piece){batch->verb, strlen(batch->verb)};
    for (size_t i = 0; i < batch->count; i++)
        piece_together(&pieces[1 + PIECES * i], &batch->items[i], arena);
    digest_of_pieces(digest, pieces, 1 + PIECES * batch->count);
    return text_copy(arena, digest, sizeof digest);
}

static void on_recalled(void *ctx, enum rc rc, const struct given *given)
{
    struct running *running = ctx;
    struct problem problem;

    if (rc != RC_OK) {
        command_fail(running->command, rc);
        return;
    }
    if (given->reused) {
        (void)problem_set(&problem, running->command->arena, PROBLEM_KEY_REUSED,
                          "This Idempotency-Key was used with a different request");
        command_refuse(running->command, &problem);
        return;
    }
    run(running);
}

static void on_noted(void *ctx, enum rc rc, uint64_t note)
{
    struct running *running = ctx;

    (void)note;
    if (rc == RC_OK)
        run(running);
    else if (rc == RC_CONFLICT)
        given_load(running->store, running->command, running->digest, on_recalled, running);
    else
        command_fail(running->command, rc);
}

void batch_run(struct command *command, struct store *store, struct batch *batch)
{
    struct running *running;
    struct given nothing = {.note = 0}; // a batch is known by its digest

    if (command_refuse_if_fenced(command))
        return;
    running = arena_calloc(command->arena, 1, sizeof *running);
    *running = (struct running){.command = command, .store = store, .batch = batch};
    if (command->idempotency_key == NULL) {
        run(running);
        return;
    }
    running->digest = digest_batch(batch, command->arena);
    given_note(store, command, running->digest, &nothing, on_noted, running);
}

// --- answers -------------------------------------------------------------------------------------

void batch_errors(struct command *command, const struct batch *batch, Hr__BatchError ***errors,
                  size_t *count)
{
    *errors = arena_calloc(command->arena, batch->count, sizeof(void *));
    *count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_item *item = &batch->items[i];
        Hr__BatchError *error;

        if (item->packet != NULL)
            continue;
        error = wire_new(command->arena, &hr__batch_error__descriptor);
        error->has_index = item->packet_id == NULL;
        error->index = (int64_t)i;
        error->has_packet_id = item->packet_id != NULL;
        if (item->packet_id != NULL)
            error->packet_id = text_of(item->packet_id);
        error->has_error = true;
        error->error = text_of(item->error);
        (*errors)[(*count)++] = error;
    }
}

void batch_packets(struct command *command, const struct batch *batch, Hr__Packet ***packets,
                   size_t *count)
{
    *packets = arena_calloc(command->arena, batch->count, sizeof(void *));
    *count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i].packet != NULL)
            (*packets)[(*count)++] = batch->items[i].packet;
    }
}
