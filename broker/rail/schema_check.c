// One request and its verdict.
#include "broker/rail/schema_check.h"

#include "broker/base/log.h"
#include "broker/nats/subjects.h"

// As long as a query may take, and less than the gateway waits.
#define CHECK_TIMEOUT_MS 5000

struct asking {
    struct arena *arena;
    schema_checked_fn done;
    void *ctx;
};

static void on_reply(void *ctx, enum rc rc, struct msg *reply)
{
    struct asking *asking = ctx;
    const Hr__SchemaVerdict *verdict;
    ProtobufCMessage *message = NULL;
    struct problem problem;
    bool refused = rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) != NULL;

    if (rc == RC_OK)
        rc = wire_unpack(&message, asking->arena,
                         refused ? &hr__error__descriptor : &hr__schema_verdict__descriptor,
                         msg_data(reply), msg_len(reply));
    verdict = (const Hr__SchemaVerdict *)message;
    if (rc != RC_OK) {
        log_warn("schema.check", "reason=\"%s\"", rc_text(rc));
        (void)problem_of_rc(&problem, asking->arena, rc);
    } else if (refused) {
        problem = problem_of_wire((const Hr__Error *)message, asking->arena);
    } else if (!verdict->valid) {
        (void)problem_set(&problem, asking->arena, PROBLEM_VALIDATION, "%.*s",
                          TEXT_ARGS(verdict->message));
    } else {
        asking->done(asking->ctx, NULL);
        return;
    }
    asking->done(asking->ctx, &problem);
}

void schema_check(struct store *store, const char *tenant, Text schema_id, Hr__Context *context,
                  struct arena *arena, schema_checked_fn done, void *ctx)
{
    Hr__CheckContext *wanted = wire_new(arena, &hr__check_context__descriptor);
    struct asking *asking = arena_alloc(arena, sizeof *asking);
    const char *inbox = store_inbox(store);
    char subject[SUBJECT_BYTES];
    Text payload;

    *asking = (struct asking){arena, done, ctx};
    wanted->has_schema_id = true;
    wanted->schema_id = schema_id;
    wanted->context = context;
    payload = wire_pack(arena, &wanted->base);
    // The caller's key may have no inbox here: the program asks in its own name.
    subject_command(subject, tenant, inbox, "schema", "check");
    const struct request request = {.subject = subject,
                                    .inbox = inbox,
                                    .data = payload.data,
                                    .len = payload.len,
                                    .timeout_ms = CHECK_TIMEOUT_MS,
                                    .done = on_reply,
                                    .ctx = asking};

    request_send(store_requests(store), &request);
}

static void check_create(const struct change_spec *spec, struct store *store, struct arena *arena,
                         change_checked_fn done, void *change)
{
    const Hr__CreatePacket *request = (const Hr__CreatePacket *)spec->request;

    schema_check(store, spec->tenant, request->schema_id, request->context, arena, done, change);
}

change_check_fn schema_check_of_create(const Hr__CreatePacket *request)
{
    return request->has_schema_id ? check_create : NULL;
}
