// From a command to a change, and from its outcome to an answer.
#include "broker/rail/commands.h"

#include "broker/message/issues.h"
#include "broker/rail/packet_view.h"

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

bool command_refuse_if_fenced(struct command *command)
{
    struct problem problem;

    if (command->claim == 0 && command->if_match == 0)
        return false;
    (void)problem_set(
        &problem, command->arena, PROBLEM_INVALID_HEADER,
        "Headers X-HR-Claim and If-Match, HR-Claim and HR-If-Match on NATS, are about "
        "one packet; this request is about several, or about whichever comes");
    command_refuse(command, &problem);
    return true;
}

// --- answers with one packet ---------------------------------------------------------------------

struct answer {
    struct command *command;
    uint64_t sequence; // of the record
    bool changed;      // by this command
};

static void on_whole(void *ctx, const struct problem *problem, Hr__Packet *packet,
                     uint64_t sequence)
{
    struct answer *answer = ctx;
    struct command *command = answer->command;
    struct problem stored;

    if (problem == NULL) {
        command_reply(command, &packet->base, sequence);
        return;
    }
    if (answer->changed) {
        // The answer would be taken for the whole packet, so there is none without the whole.
        (void)problem_set(&stored, command->arena, problem->code,
                          "The change was stored as version %llu; the packet cannot be shown, "
                          "because what it takes over from its ancestors cannot be read",
                          (unsigned long long)answer->sequence);
        problem = &stored;
    }
    command_refuse(command, problem);
}

static void reply(struct command *command, struct store *store, Hr__Packet *packet,
                  uint64_t sequence, bool changed)
{
    struct answer *answer = arena_alloc(command->arena, sizeof *answer);

    *answer = (struct answer){command, sequence, changed};
    whole_load(store, command->tenant, packet, sequence, command->arena, on_whole, answer);
}

void command_reply_packet(struct command *command, struct store *store, Hr__Packet *packet,
                          uint64_t sequence)
{
    reply(command, store, packet, sequence, false);
}

void command_reply_changed(struct command *command, struct store *store,
                           const struct stored *stored)
{
    reply(command, store, stored->record->packet, stored->sequence, true);
}

// --- changes -------------------------------------------------------------------------------------

struct change_command {
    struct command *command;
    struct store *store;
    struct change_spec spec;
};

static void on_changed(void *ctx, enum rc rc, const struct stored *stored,
                       const struct problem *problem)
{
    struct change_command *change = ctx;

    if (rc == RC_OK)
        command_reply_changed(change->command, change->store, stored);
    else
        command_refuse(change->command, problem);
}

void command_change(struct command *command, struct store *store, const char *verb, Text packet_id,
                    bool create, decide_fn decide)
{
    struct change_command *change = arena_calloc(command->arena, 1, sizeof *change);

    if (!create && packet_id.len == 0) {
        command_refuse_missing_id(command);
        return;
    }
    change->command = command;
    change->store = store;
    change->spec = (struct change_spec){
        .tenant = command->tenant,
        .key_id = command->key_id,
        .verb = verb,
        .packet_id = create ? NULL : arena_copy(command->arena, packet_id.data, packet_id.len),
        .idempotency_key = command->idempotency_key,
        .if_match = command->if_match,
        .claim = command->claim,
        .look_first = command->check != NULL, // a repeat needs not be checked again
        .check = command->check,
        .decide = decide,
        .ctx = command->decide_ctx,
        .request = command->request,
    };
    change_run(store, &change->spec, command->arena, on_changed, change);
}

// The field of that name, which every command about a packet has.
static Text packet_id_of(const ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "packet_id");

    return *(const Text *)((const char *)request + field->offset);
}

static enum command_id id_of(const struct command_row *row)
{
    int id = CMD_NONE + 1;

    while (command_row((enum command_id)id) != row)
        id++;
    return (enum command_id)id;
}

void command_decide(void *store, struct command *command)
{
    const struct command_row *row = command_table_row(command);
    const char *verb = arena_printf(command->arena, "%s.%s", row->noun, row->verb);

    command_change(command, store, verb, packet_id_of(command->request), false,
                   decide_of(id_of(row)));
}

// --- loads ---------------------------------------------------------------------------------------

struct load_command {
    struct command *command;
    struct store *store;
    const char *packet_id;
};

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct load_command *load = ctx;
    struct command *command = load->command;
    struct problem problem;

    if (rc == RC_OK) {
        command_reply_packet(command, load->store, stored->record->packet, stored->sequence);
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
    *load = (struct load_command){command, store,
                                  arena_copy(command->arena, packet_id.data, packet_id.len)};
    store_load_sure(store, command->tenant, load->packet_id, command->arena, on_loaded, load);
}
