// Each element of a create is read by itself: one that is no packet is an error of its own.
#include "workers/packet/batches.h"

#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/rail/batch.h"
#include "broker/rail/schema_check.h"

#include <inttypes.h>

static void read_element(struct batch_item *item, struct command *command,
                         const struct parent_settings *parents, const Hr__Json *json)
{
    struct issues issues = {.arena = command->arena};
    ProtobufCMessage *request;
    struct problem problem;
    enum rc rc = json_read(&request, command->arena, &hr__create_packet__descriptor,
                           (const char *)json->text.data, json->text.len, &issues, &problem);

    if (rc == RC_OK) {
        message_check(request, "body", true, &issues);
        if (issues.count > 0)
            rc = issues_to_problem(&issues, &problem);
    }
    if (rc != RC_OK) {
        item->error = problem_text(&problem);
        return;
    }
    item->request = request;
    item->check = schema_check_of_create((const Hr__CreatePacket *)request);
    item->ctx = parent_of_create(parents, command->tenant, (const Hr__CreatePacket *)request,
                                 command->arena, &item->check);
}

static void on_created(struct command *command, const struct batch *batch, uint64_t sequence)
{
    Hr__BatchCreated *answer = wire_new(command->arena, &hr__batch_created__descriptor);

    batch_packets(command, batch, &answer->created, &answer->n_created);
    batch_errors(command, batch, &answer->errors, &answer->n_errors);
    command_reply(command, &answer->base, sequence);
}

static struct batch *batch_of(struct command *command, const char *verb, decide_fn decide,
                              size_t count)
{
    struct batch *batch = arena_calloc(command->arena, 1, sizeof *batch);

    batch->verb = verb;
    batch->decide = decide;
    batch->items = arena_calloc(command->arena, count, sizeof *batch->items);
    batch->count = count;
    return batch;
}

void batches_create(struct command *command, struct store *store,
                    const struct parent_settings *parents, int64_t max)
{
    const Hr__BatchCreate *request = (const Hr__BatchCreate *)command->request;
    struct problem problem;
    struct batch *batch;

    if ((int64_t)request->n_packets > max) {
        (void)problem_set(&problem, command->arena, PROBLEM_BATCH_TOO_LARGE,
                          "Batch size exceeds maximum of %" PRId64, max);
        command_refuse(command, &problem);
        return;
    }
    batch = batch_of(command, "packet.create", decide_create_child, request->n_packets);
    batch->done = on_created;
    for (size_t i = 0; i < batch->count; i++)
        read_element(&batch->items[i], command, parents, request->packets[i]);
    batch_run(command, store, batch);
}

static void on_completed(struct command *command, const struct batch *batch, uint64_t sequence)
{
    Hr__BatchCompleted *answer = wire_new(command->arena, &hr__batch_completed__descriptor);

    batch_packets(command, batch, &answer->completed, &answer->n_completed);
    batch_errors(command, batch, &answer->errors, &answer->n_errors);
    command_reply(command, &answer->base, sequence);
}

static bool has_item(const struct batch *batch, Text packet_id)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (text_is(packet_id, batch->items[i].packet_id))
            return true;
    }
    return false;
}

static void set_claim(struct batch *batch, const Hr__HeldPacket *held)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (text_is(held->packet_id, batch->items[i].packet_id))
            batch->items[i].claim = (uint64_t)held->generation;
    }
}

// A claim of a packet that is not in the batch is a mistake, and perhaps one in a packet's id.
static enum rc set_claims(struct batch *batch, const Hr__BatchComplete *request,
                          struct arena *arena, struct problem *problem)
{
    struct issues issues = {.arena = arena};
    struct path path = {0};

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("claims"));
    for (size_t i = 0; i < request->n_claims; i++) {
        path_push_index(&path, i);
        if (has_item(batch, request->claims[i]->packet_id))
            set_claim(batch, request->claims[i]);
        else
            (void)issues_add(&issues, &path, "value_error",
                             "Value error, the packet is not one of packet_ids");
        path_pop(&path);
    }
    return issues.count == 0 ? RC_OK : issues_to_problem(&issues, problem);
}

void batches_complete(struct command *command, struct store *store)
{
    const Hr__BatchComplete *request = (const Hr__BatchComplete *)command->request;
    Hr__UpdatePacket *update = wire_new(command->arena, &hr__update_packet__descriptor);
    struct batch *batch =
        batch_of(command, "packet.batch-complete", decide_complete, request->n_packet_ids);
    struct problem problem;

    batch->done = on_completed;
    update->has_subject_digest = request->has_subject_digest;
    update->subject_digest = request->subject_digest;
    for (size_t i = 0; i < batch->count; i++) {
        Text id = request->packet_ids[i];

        batch->items[i].packet_id = arena_copy(command->arena, id.data, id.len);
        batch->items[i].request = &update->base;
    }
    if (set_claims(batch, request, command->arena, &problem) != RC_OK)
        command_refuse(command, &problem);
    else
        batch_run(command, store, batch);
}
