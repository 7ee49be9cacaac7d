// Commands over NATS on behalf of HTTP clients.
#include "gateway/backend.h"

#include "broker/base/log.h"
#include "broker/nats/subjects.h"
#include "gateway/http.h"
#include "gateway/seqs.h"
#include "gateway/tags.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

// Longer than the workers' own time-outs, so that their more exact answer wins.
#define COMMAND_TIMEOUT_MS 8000
#define COMMAND_HEADERS_MAX 6

struct call {
    struct exchange *exchange;
    const struct command_row *command;
    backend_done_fn done;
    bool may_have_changed; // something: a lost answer leaves the outcome open
    char reply_subject[REPLY_BYTES];
};

static enum rc refuse(struct exchange *exchange, enum problem_code code, const char *text)
{
    struct problem problem;

    (void)problem_set(&problem, exchange->arena, code, "%s", text);
    http_refuse(exchange, &problem);
    return RC_REFUSED;
}

static void refuse_rc(struct call *call, enum rc rc)
{
    if (call->may_have_changed && rc == RC_TIMEOUT)
        (void)refuse(call->exchange, PROBLEM_OUTCOME_UNKNOWN,
                     "It is not known whether the change was stored; repeat it with the same "
                     "Idempotency-Key to find out");
    else
        http_fail(call->exchange, rc);
}

static void pass_on_refusal(struct call *call, const struct msg *msg)
{
    ProtobufCMessage *message;
    struct problem problem;

    if (wire_unpack(&message, call->exchange->arena, &hr__error__descriptor, msg_data(msg),
                    msg_len(msg)) != RC_OK) {
        http_fail(call->exchange, RC_CORRUPT);
        return;
    }
    problem = problem_of_wire((const Hr__Error *)message, call->exchange->arena);
    http_refuse(call->exchange, &problem);
}

static void on_reply(void *ctx, enum rc rc, struct msg *msg)
{
    struct call *call = ctx;
    ProtobufCMessage *reply;

    if (rc != RC_OK) {
        refuse_rc(call, rc);
        return;
    }
    if (msg_header(msg, HEADER_ERROR_CODE) != NULL) {
        pass_on_refusal(call, msg);
        return;
    }
    if (msg_header_u64(msg, HEADER_STATUS, 200) == 204) {
        http_respond(call->exchange, 204, NULL, NULL, 0, "", 0);
        return;
    }
    rc = wire_unpack(&reply, call->exchange->arena, call->command->reply, msg_data(msg),
                     msg_len(msg));
    if (rc != RC_OK) {
        http_fail(call->exchange, rc);
        return;
    }
    call->done(call->exchange, reply, msg_header_u64(msg, HEADER_SEQ, 0));
}

// A whole number, perhaps in quotes as an entity tag is. False: it is something else.
static bool read_sequence(const char *text, uint64_t *value)
{
    bool quoted = *text == '"';
    unsigned long long number;
    char *end;

    if (quoted)
        text++;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || (quoted && *end++ != '"') || *end != '\0')
        return false;
    *value = number;
    return true;
}

struct command_headers {
    struct header items[COMMAND_HEADERS_MAX];
    size_t count;
};

static void add(struct command_headers *headers, const char *name, const char *value)
{
    assert(headers->count < COMMAND_HEADERS_MAX); // each is added at one place, once
    headers->items[headers->count++] = (struct header){name, value};
}

static void add_sequence(struct exchange *exchange, struct command_headers *headers,
                         const char *name, uint64_t value)
{
    add(headers, name, arena_printf(exchange->arena, "%" PRIu64, value));
}

// The version that the client says the packet has. With several, load_version has found which of
// them it is; the worker compares again, in the same step as the change.
static enum rc add_if_match(struct exchange *exchange, struct command_headers *headers)
{
    const char *if_match = web_header(exchange->request, "If-Match");
    struct tags tags;

    if (if_match == NULL)
        return RC_OK;
    tags = tags_read(if_match);
    if (tags.any)
        return RC_OK;
    if (tags.count == 0)
        return refuse(exchange, PROBLEM_PRECONDITION_FAILED,
                      "The packet has changed since the version named in If-Match");
    if (tags_have(&tags, exchange->version))
        tags.versions[0] = exchange->version;
    add_sequence(exchange, headers, HEADER_IF_MATCH, tags.versions[0]);
    return RC_OK;
}

static enum rc add_claim(struct exchange *exchange, struct command_headers *headers)
{
    const char *claim = web_header(exchange->request, "X-HR-Claim");
    uint64_t value;

    if (claim == NULL)
        return RC_OK;
    if (!read_sequence(claim, &value) || value == 0)
        return refuse(exchange, PROBLEM_INVALID_HEADER,
                      "Header X-HR-Claim should be the generation of a claim");
    add_sequence(exchange, headers, HEADER_CLAIM, value);
    return RC_OK;
}

// What a reader has to see: 0 for nothing in particular. False: the header cannot be read.
static bool read_min_seq(struct exchange *exchange, uint64_t *min_seq)
{
    const char *sent = web_header(exchange->request, "X-HR-Min-Seq");
    uint64_t own = seqs_get(exchange->gateway->seqs, exchange->caller.tenant);

    *min_seq = 0;
    if (sent != NULL && !read_sequence(sent, min_seq))
        return false;
    if (*min_seq < own)
        *min_seq = own;
    return true;
}

#define BAD_MIN_SEQ "Header X-HR-Min-Seq should be a sequence number"

static enum rc add_min_seq(struct exchange *exchange, struct command_headers *headers)
{
    uint64_t value;

    if (!read_min_seq(exchange, &value))
        return refuse(exchange, PROBLEM_INVALID_HEADER, BAD_MIN_SEQ);
    if (value > 0)
        add_sequence(exchange, headers, HEADER_MIN_SEQ, value);
    return RC_OK;
}

static enum rc add_client_headers(struct exchange *exchange, struct command_headers *headers,
                                  bool reads)
{
    const char *key = web_header(exchange->request, "Idempotency-Key");
    const char *trace = web_header(exchange->request, "traceparent");

    // A header without a value would make the others unreadable.
    if (key != NULL && *key == '\0')
        return refuse(exchange, PROBLEM_INVALID_HEADER,
                      "Header Idempotency-Key should have at least one character");
    if (key != NULL)
        add(headers, HEADER_IDEMPOTENCY_KEY, key);
    if (trace != NULL && *trace != '\0')
        add(headers, HEADER_TRACE, trace);
    if (reads)
        return add_min_seq(exchange, headers);
    return add_claim(exchange, headers) == RC_OK ? add_if_match(exchange, headers) : RC_REFUSED;
}

static void dispatch(struct call *call, const ProtobufCMessage *request,
                     const struct command_headers *headers)
{
    struct exchange *exchange = call->exchange;
    char subject[SUBJECT_BYTES];
    Text payload = wire_pack(exchange->arena, request);
    const struct request message = {.subject = subject,
                                    .inbox = exchange->caller.key_id,
                                    .headers = headers->items,
                                    .header_count = headers->count,
                                    .data = payload.data,
                                    .len = payload.len,
                                    .timeout_ms = COMMAND_TIMEOUT_MS + exchange->patience_ms,
                                    .done = on_reply,
                                    .ctx = call,
                                    .reply = call->reply_subject};

    subject_command(subject, exchange->about != NULL ? exchange->about : exchange->caller.tenant,
                    exchange->caller.key_id, call->command->noun, call->command->verb);
    request_send(run_requests(exchange->gateway->run), &message);
}

static struct call *call_create(struct exchange *exchange, backend_done_fn done)
{
    struct call *call = arena_alloc(exchange->arena, sizeof *call);
    const struct command_row *command = command_row(exchange->route->command);

    *call = (struct call){.exchange = exchange,
                          .command = command,
                          .done = done,
                          .may_have_changed = (command->flags & COMMAND_READS) == 0};
    return call;
}

// A command whose headers wait for the version that the packet has.
struct prepared {
    struct call *call;
    const ProtobufCMessage *request;
};

static void send_prepared(const struct prepared *prepared)
{
    struct call *call = prepared->call;
    struct command_headers headers = {.count = 0};

    if (add_client_headers(call->exchange, &headers, (call->command->flags & COMMAND_READS) != 0) ==
        RC_OK)
        dispatch(call, prepared->request, &headers);
}

static void on_version(void *ctx, enum rc rc, const struct stored *stored)
{
    const struct prepared *prepared = ctx;

    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        http_fail(prepared->call->exchange, rc);
        return;
    }
    // Of one that is not there the worker says what there is to say.
    if (rc == RC_OK)
        prepared->call->exchange->version = stored->sequence;
    send_prepared(prepared);
}

// If-Match with a list: which of its versions can be meant is known when the packet is.
static bool needs_version(const struct exchange *exchange)
{
    const char *if_match = web_header(exchange->request, "If-Match");

    return if_match != NULL && (route_flags(exchange->route) & COMMAND_FENCED) != 0 &&
           tags_read(if_match).count > 1;
}

void backend_send(struct exchange *exchange, const ProtobufCMessage *request, backend_done_fn done)
{
    struct prepared *prepared = arena_alloc(exchange->arena, sizeof *prepared);

    *prepared = (struct prepared){call_create(exchange, done), request};
    if (needs_version(exchange))
        store_load(run_store(exchange->gateway->run), exchange->caller.tenant,
                   exchange_id(exchange, "packet_id"), exchange->arena, on_version, prepared);
    else
        send_prepared(prepared);
}

// Where a command of the exchange's caller goes.
static void command_subject(char subject[SUBJECT_BYTES], const struct exchange *exchange,
                            enum command_id id)
{
    const struct command_row *command = command_row(id);

    subject_command(subject, exchange->caller.tenant, exchange->caller.key_id, command->noun,
                    command->verb);
}

// --- queries -------------------------------------------------------------------------------------

static void on_queried(void *ctx, enum rc rc, struct msg *msg)
{
    const struct backend_query *query = ctx;
    ProtobufCMessage *message = NULL;
    struct problem problem;
    bool refused = rc == RC_OK && msg_header(msg, HEADER_ERROR_CODE) != NULL;

    if (rc == RC_OK)
        rc = wire_unpack(&message, query->arena,
                         refused ? &hr__error__descriptor : command_row(query->command)->reply,
                         msg_data(msg), msg_len(msg));
    if (rc == RC_OK && !refused) {
        query->done(query->ctx, message);
        return;
    }
    if (rc == RC_OK)
        problem = problem_of_wire((const Hr__Error *)message, query->arena);
    else
        (void)problem_of_rc(&problem, query->arena, rc);
    query->failed(query->ctx, &problem);
}

void backend_query(struct exchange *exchange, const struct backend_query *query)
{
    struct backend_query *kept = arena_alloc(query->arena, sizeof *kept);
    Text payload = wire_pack(query->arena, query->request);
    struct header header = {HEADER_MIN_SEQ, NULL};
    uint64_t min_seq = 0;
    char subject[SUBJECT_BYTES];
    struct request message = {.subject = subject,
                              .inbox = exchange->caller.key_id,
                              .headers = &header,
                              .data = payload.data,
                              .len = payload.len,
                              .timeout_ms = COMMAND_TIMEOUT_MS,
                              .done = on_queried,
                              .ctx = kept};
    struct problem problem;

    *kept = *query;
    if (query->is_current && !read_min_seq(exchange, &min_seq)) {
        (void)problem_set(&problem, query->arena, PROBLEM_INVALID_HEADER, BAD_MIN_SEQ);
        query->failed(query->ctx, &problem);
        return;
    }
    if (min_seq > 0) {
        header.value = arena_printf(query->arena, "%" PRIu64, min_seq);
        message.header_count = 1;
    }
    command_subject(subject, exchange, query->command);
    request_send(run_requests(exchange->gateway->run), &message);
}

// --- changes -------------------------------------------------------------------------------------

struct pending_reply {
    struct exchange *exchange;
    ProtobufCMessage *reply;
    uint64_t sequence;
};

// What was taken for a client that has gone is given back. True: that was so.
static bool is_given_back(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    if (exchange->give_back == NULL || !web_is_gone(exchange->request))
        return false;
    exchange->give_back(exchange, reply, sequence);
    http_respond(exchange, 204, NULL, NULL, 0, "", 0);
    return true;
}

static void on_audited(void *ctx, enum rc rc, struct msg *msg)
{
    struct pending_reply *pending = ctx;

    if (is_given_back(pending->exchange, pending->reply, pending->sequence))
        return;
    if (rc == RC_OK && msg_header(msg, HEADER_ERROR_CODE) == NULL)
        http_reply(pending->exchange, pending->reply, pending->sequence);
    else
        (void)refuse(pending->exchange, PROBLEM_PROJECTION_BEHIND,
                     "The change is stored, but not yet in the audit log; repeat it with the same "
                     "Idempotency-Key to wait for it again");
}

static void wait_for_audit(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    struct pending_reply *pending = arena_alloc(exchange->arena, sizeof *pending);
    const Hr__Empty empty = HR__EMPTY__INIT;
    Text payload = wire_pack(exchange->arena, &empty.base);
    const struct header header = {HEADER_MIN_SEQ,
                                  arena_printf(exchange->arena, "%" PRIu64, sequence)};
    char subject[SUBJECT_BYTES];
    const struct request message = {.subject = subject,
                                    .inbox = exchange->caller.key_id,
                                    .headers = &header,
                                    .header_count = 1,
                                    .data = payload.data,
                                    .len = payload.len,
                                    .timeout_ms = COMMAND_TIMEOUT_MS,
                                    .done = on_audited,
                                    .ctx = pending};

    *pending = (struct pending_reply){exchange, reply, sequence};
    command_subject(subject, exchange, CMD_AUDIT_WAIT);
    request_send(run_requests(exchange->gateway->run), &message);
}

static void on_changed(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence)
{
    const char *durability = web_header(exchange->request, "X-HR-Durability");

    seqs_raise(exchange->gateway->seqs, exchange->caller.tenant, sequence);
    if (is_given_back(exchange, reply, sequence))
        return;
    if (durability != NULL && strcasecmp(durability, "audited") == 0)
        wait_for_audit(exchange, reply, sequence);
    else
        http_reply(exchange, reply, sequence);
}

void backend_change(struct exchange *exchange, const ProtobufCMessage *request)
{
    backend_send(exchange, request, on_changed);
}

// --- waiting -------------------------------------------------------------------------------------

static void on_told(void *ctx, enum rc rc, struct msg *reply)
{
    (void)ctx; // the exchange may be gone
    (void)reply;
    if (rc != RC_OK)
        log_info("backend.tell", "reason=\"%s\"", rc_text(rc));
}

void backend_tell(struct exchange *exchange, enum command_id command, const struct header *headers,
                  size_t header_count, const void *data, size_t len)
{
    char subject[SUBJECT_BYTES];
    const struct request message = {.subject = subject,
                                    .inbox = exchange->caller.key_id,
                                    .headers = headers,
                                    .header_count = header_count,
                                    .data = data,
                                    .len = len,
                                    .timeout_ms = COMMAND_TIMEOUT_MS,
                                    .done = on_told};

    command_subject(subject, exchange, command);
    request_send(run_requests(exchange->gateway->run), &message);
}

static void on_gone(void *ctx)
{
    const struct call *call = ctx;
    char subject[SUBJECT_BYTES];

    subject_command(subject, call->exchange->caller.tenant, call->exchange->caller.key_id,
                    NOUN_PACKET, VERB_WITHDRAW);
    // If it is lost, what is given comes to give_back.
    (void)!conn_publish(run_conn(call->exchange->gateway->run), subject, NULL, NULL, 0,
                        call->reply_subject, strlen(call->reply_subject));
}

void backend_wait(struct exchange *exchange, const ProtobufCMessage *request,
                  backend_done_fn give_back)
{
    struct command_headers headers = {.count = 0};
    struct call *call = call_create(exchange, on_changed);

    exchange->give_back = give_back;
    if (add_client_headers(exchange, &headers, false) != RC_OK)
        return;
    web_on_gone(exchange->request, on_gone, call);
    dispatch(call, request, &headers);
}
