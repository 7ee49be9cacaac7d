// From a command to a change, and from its outcome to an answer.
#include "broker/commands.h"

#include "broker/packet/issues.h"

void command_refuse_missing_id(struct command *command)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("packet_id"));
    (void)issues_add(&issues, &path, "missing", "Field required");
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
}

void command_reply_packet(struct command *command, const struct stored *stored)
{
    command_reply(command, &stored->record->packet->base, stored->sequence);
}

static void on_changed(void *ctx, enum rc rc, const struct stored *stored,
                       const struct problem *problem)
{
    struct command *command = ctx;

    if (rc == RC_OK)
        command_reply_packet(command, stored);
    else
        command_refuse(command, problem);
}

void command_change(struct command *command, struct store *store, const char *verb, Text packet_id,
                    bool create, decide_fn decide)
{
    struct change_spec *spec = arena_calloc(command->arena, 1, sizeof *spec);

    if (!create && packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    *spec = (struct change_spec){
        .tenant = command->tenant,
        .key_id = command->key_id,
        .verb = verb,
        .packet_id = create ? NULL : arena_copy(command->arena, packet_id.data, packet_id.len),
        .idempotency_key = command->idempotency_key,
        .if_match = command->if_match,
        .claim = command->claim,
        .decide = decide,
        .ctx = command->decide_ctx,
        .request = command->request,
    };
    change_run(store, spec, command->arena, on_changed, command);
}

struct load_command {
    struct command *command;
    const char *packet_id;
};

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct load_command *load = ctx;
    struct command *command = load->command;
    struct problem problem;

    if (rc == RC_OK) {
        command_reply(command, &stored->record->packet->base, stored->sequence);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Packet %s not found",
                          load->packet_id);
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

void command_load(struct command *command, struct store *store, Text packet_id)
{
    struct load_command *load = arena_alloc(command->arena, sizeof *load);

    if (packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    *load =
        (struct load_command){command, arena_copy(command->arena, packet_id.data, packet_id.len)};
    store_load(store, command->tenant, load->packet_id, command->arena, on_loaded, load);
}
