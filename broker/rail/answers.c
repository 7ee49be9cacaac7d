// One message per key, written on condition: first that the command is being carried out, then its
// answer. Every crash point leaves none, or one that says since when it has been tried.
#include "broker/rail/answers.h"

#include "broker/base/digest.h"
#include "broker/base/log.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

#define TRIES 4
#define SERVER_ERROR 500

struct answer {
    struct run *run;
    struct command *command;
    struct answers_spec spec;
    answers_go_fn go;
    void *ctx;
    char subject[SUBJECT_BYTES];
    Text digest;    // of the command
    uint64_t note;  // sequence of our note; 0: there is no key
    unsigned tries; // to note it
    const ProtobufCMessage *reply;
    const struct problem *problem; // when there is no reply
};

static void load(struct answer *answer);

// --- what is noted -------------------------------------------------------------------------------

static void put(struct answer *answer, Hr__KeptAnswer *kept, entry_put_fn done)
{
    struct run *run = answer->run;
    Text bytes;

    kept->has_request_digest = true;
    kept->request_digest = answer->digest;
    bytes = wire_pack(answer->command->arena, &kept->base);
    entry_put(run_requests(run), run_name(run),
              &(struct entry_put){answer->subject, answer->note, bytes.data, bytes.len}, done,
              answer);
}

// Answers as the note says. False: it does not say.
static bool answer_as_before(struct answer *answer, const Hr__KeptAnswer *kept)
{
    struct arena *arena = answer->command->arena;
    ProtobufCMessage *message;
    struct problem problem;

    if (kept->has_reply && wire_unpack(&message, arena, answer->spec.reply, kept->reply.data,
                                       kept->reply.len) == RC_OK) {
        command_reply(answer->command, message, 0);
        return true;
    }
    if (kept->has_refusal && wire_unpack(&message, arena, &hr__error__descriptor,
                                         kept->refusal.data, kept->refusal.len) == RC_OK) {
        problem = problem_of_wire((const Hr__Error *)message, arena);
        command_refuse(answer->command, &problem);
        return true;
    }
    return false;
}

// --- beginning -----------------------------------------------------------------------------------

static void on_noted(void *ctx, enum rc rc, uint64_t sequence)
{
    struct answer *answer = ctx;

    if (rc == RC_OK) {
        answer->note = sequence;
        answer->go(answer->ctx, answer);
    } else if (rc == RC_CONFLICT && ++answer->tries < TRIES) {
        load(answer);
    } else {
        command_fail(answer->command, rc);
    }
}

static void note(struct answer *answer)
{
    struct arena *arena = answer->command->arena;
    Hr__KeptAnswer *kept = wire_new(arena, &hr__kept_answer__descriptor);

    kept->begun_at = wire_timestamp(arena, timestamp_now_us());
    put(answer, kept, on_noted);
}

static void refuse(struct answer *answer, enum problem_code code, const char *text)
{
    struct problem problem;

    (void)problem_set(&problem, answer->command->arena, code, "%s", text);
    command_refuse(answer->command, &problem);
}

static void on_known(struct answer *answer, const Hr__KeptAnswer *kept)
{
    int64_t begun_us = wire_timestamp_us(kept->begun_at);

    if (!text_equal(kept->request_digest, answer->digest)) {
        refuse(answer, PROBLEM_KEY_REUSED, "This Idempotency-Key was used with another request");
        return;
    }
    if (answer_as_before(answer, kept))
        return;
    if (begun_us > timestamp_now_us() - answer->spec.busy_us)
        refuse(answer, PROBLEM_CONTENDED, "The request is being carried out; ask again");
    else
        note(answer);
}

static void on_loaded(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence)
{
    struct answer *answer = ctx;
    ProtobufCMessage *kept = NULL;

    answer->note = sequence;
    if (rc == RC_NOT_FOUND) {
        note(answer);
        return;
    }
    if (rc == RC_OK)
        rc = wire_unpack(&kept, answer->command->arena, &hr__kept_answer__descriptor,
                         msg_data(reply), msg_len(reply));
    if (rc == RC_CORRUPT)
        log_error("answers.corrupt", "tenant=%s", answer->command->tenant);
    if (rc == RC_OK)
        on_known(answer, (const Hr__KeptAnswer *)kept);
    else
        command_fail(answer->command, rc);
}

static void load(struct answer *answer)
{
    struct run *run = answer->run;

    entry_get(run_requests(run), run_name(run), STREAM_GIVEN, answer->subject, on_loaded, answer);
}

static void set_names(struct answer *answer)
{
    const struct command *command = answer->command;
    const char *name = command->request->descriptor->name;
    Text request = wire_pack(command->arena, command->request);
    const struct piece pieces[] = {
        {name,         strlen(name)},
        {request.data, request.len },
    };
    uint8_t digest[DIGEST_BYTES];

    subject_given(answer->subject, command->tenant, GIVEN_ANSWER, command->idempotency_key);
    digest_of_pieces(digest, pieces, 2);
    answer->digest = text_copy(command->arena, digest, sizeof digest);
}

void answers_begin(struct run *run, struct command *command, const struct answers_spec *spec,
                   answers_go_fn go, void *ctx)
{
    struct answer *answer = arena_calloc(command->arena, 1, sizeof *answer);

    answer->run = run;
    answer->command = command;
    answer->spec = *spec;
    answer->go = go;
    answer->ctx = ctx;
    if (command->idempotency_key == NULL) {
        go(ctx, answer);
        return;
    }
    set_names(answer);
    load(answer);
}

// --- ending --------------------------------------------------------------------------------------

static void finish(struct answer *answer)
{
    if (answer->reply != NULL)
        command_reply(answer->command, answer->reply, 0);
    else
        command_refuse(answer->command, answer->problem);
}

// Somebody else has carried it out as well: what was kept first counts.
static void on_other(void *ctx, enum rc rc, struct msg *reply, uint64_t sequence)
{
    struct answer *answer = ctx;
    ProtobufCMessage *message;
    const Hr__KeptAnswer *kept;

    (void)sequence;
    if (rc == RC_OK)
        rc = wire_unpack(&message, answer->command->arena, &hr__kept_answer__descriptor,
                         msg_data(reply), msg_len(reply));
    if (rc == RC_OK) {
        kept = (const Hr__KeptAnswer *)message;
        if (text_equal(kept->request_digest, answer->digest) && answer_as_before(answer, kept))
            return;
    }
    finish(answer);
}

static void on_kept(void *ctx, enum rc rc, uint64_t sequence)
{
    struct answer *answer = ctx;
    struct run *run = answer->run;

    (void)sequence;
    if (rc == RC_CONFLICT) {
        entry_get(run_requests(run), run_name(run), STREAM_GIVEN, answer->subject, on_other,
                  answer);
        return;
    }
    if (rc != RC_OK) // it was carried out all the same
        log_warn("answers.lost", "tenant=%s reason=\"%s\"", answer->command->tenant, rc_text(rc));
    finish(answer);
}

static void keep(struct answer *answer)
{
    struct arena *arena = answer->command->arena;
    Hr__KeptAnswer *kept;

    if (answer->note == 0) {
        finish(answer);
        return;
    }
    kept = wire_new(arena, &hr__kept_answer__descriptor);
    if (answer->reply != NULL) {
        kept->has_reply = true;
        kept->reply = wire_pack(arena, answer->reply);
    } else if (problem_status(answer->problem->code) < SERVER_ERROR) {
        kept->has_refusal = true;
        kept->refusal = wire_pack(arena, &problem_to_wire(answer->problem, arena)->base);
    }
    put(answer, kept, on_kept);
}

void answer_reply(struct answer *answer, const ProtobufCMessage *reply)
{
    answer->reply = reply;
    keep(answer);
}

void answer_refuse(struct answer *answer, const struct problem *problem)
{
    struct problem *copy = arena_alloc(answer->command->arena, sizeof *copy);

    *copy = *problem;
    answer->problem = copy;
    keep(answer);
}

void answer_fail(struct answer *answer, enum rc rc)
{
    struct problem problem;

    (void)problem_of_rc(&problem, answer->command->arena, rc);
    answer_refuse(answer, &problem);
}
