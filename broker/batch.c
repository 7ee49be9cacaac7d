// The changes run side by side: NATS takes their requests one behind the other, so fifty cost
// little more round trips than one. Only an id that comes again waits, for the one before it.
#include "broker/batch.h"

#include "broker/whole.h"

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

void batch_run(struct command *command, struct store *store, struct batch *batch)
{
    struct running *running = arena_calloc(command->arena, 1, sizeof *running);
    bool *waits = arena_calloc(command->arena, batch->count, sizeof *waits);

    *running = (struct running){command, store, batch, NULL, batch->count + 1}; // 1: this call
    running->jobs = arena_calloc(command->arena, batch->count, sizeof *running->jobs);
    for (size_t i = 0; i < batch->count; i++) {
        struct job *job = &running->jobs[i];
        struct job *earlier;

        job->running = running;
        job->item = &batch->items[i];
        job->spec = (struct change_spec){
            .tenant = command->tenant,
            .key_id = command->key_id,
            .verb = batch->verb,
            .packet_id = job->item->packet_id,
            .idempotency_key = key_of(command, i),
            .look_first = job->item->check != NULL,
            .check = job->item->check,
            .decide = batch->decide,
            .ctx = command->decide_ctx,
            .request = job->item->request,
        };
        earlier = find_earlier(running->jobs, i);
        waits[i] = earlier != NULL;
        if (earlier != NULL)
            earlier->later = job;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (!waits[i])
            start(&running->jobs[i]);
    }
    release(running);
}

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
