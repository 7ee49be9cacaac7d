// A note is written on the condition that the one that was read is still the last of its subject.
#include "broker/rail/given.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

struct load {
    struct command *command;
    Text digest;
    given_loaded_fn done;
    void *ctx;
};

static enum rc read_note(struct given *given, const struct load *load, struct msg *reply)
{
    struct arena *arena = load->command->arena;
    ProtobufCMessage *message;
    const Hr__Given *note;
    struct uuid id;

    if (wire_unpack(&message, arena, &hr__given__descriptor, msg_data(reply), msg_len(reply)) !=
        RC_OK)
        return RC_CORRUPT;
    note = (const Hr__Given *)message;
    given->reused = !text_equal(note->request_digest, load->digest);
    if (note->packet_id.len == 0)
        return RC_OK;
    if (uuid_parse((const char *)note->packet_id.data, note->packet_id.len, &id) != NULL)
        return RC_CORRUPT;
    given->packet_id = arena_copy(arena, note->packet_id.data, note->packet_id.len);
    given->sequence = note->has_sequence ? note->sequence : 0;
    return RC_OK;
}

static void on_got(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence)
{
    struct load *load = ctx;
    struct given given = {.note = sequence};

    if (rc == RC_OK)
        rc = read_note(&given, load, reply);
    if (rc == RC_CORRUPT)
        log_error("given.corrupt", "tenant=%s", load->command->tenant);
    load->done(load->ctx, rc == RC_NOT_FOUND ? RC_OK : rc, &given);
}

void given_load(struct store *store, struct command *command, Text digest, given_loaded_fn done,
                void *ctx)
{
    struct load *load = arena_alloc(command->arena, sizeof *load);
    char subject[SUBJECT_BYTES];

    *load = (struct load){command, digest, done, ctx};
    subject_given(subject, command->tenant, GIVEN_CHOICE, command->idempotency_key);
    entry_get(store_requests(store), store_inbox(store), STREAM_GIVEN, subject, on_got, load);
}

void given_note(struct store *store, struct command *command, Text digest,
                const struct given *given, given_noted_fn done, void *ctx)
{
    Hr__Given *note = wire_new(command->arena, &hr__given__descriptor);
    char subject[SUBJECT_BYTES];
    Text bytes;

    note->has_packet_id = given->packet_id != NULL;
    if (given->packet_id != NULL)
        note->packet_id = text_of(given->packet_id);
    note->has_sequence = given->sequence != 0;
    note->sequence = given->sequence;
    note->has_request_digest = true;
    note->request_digest = digest;
    bytes = wire_pack(command->arena, &note->base);
    subject_given(subject, command->tenant, GIVEN_CHOICE, command->idempotency_key);
    entry_put(store_requests(store), store_inbox(store),
              &(struct entry_put){subject, given->note, bytes.data, bytes.len}, done, ctx);
}
