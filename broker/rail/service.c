// Requests in, answers out.
#include "broker/rail/service.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/message/transcript.h"
#include "broker/nats/discover.h"
#include "broker/nats/storage.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ARENA_BYTES (16 * 1024)
#define SPARE_MAX 1024           // work items kept for reuse
#define IDEMPOTENCY_KEY_MAX 255  // characters
#define PART_OVERHEAD_BYTES 4096 // room for headers in a part of a long answer
#define REPLY_HEADERS_MAX 5

// A gateway sends what it was sent with the ids of the path, and in protobuf, which is hardly ever
// longer.
#define BODY_SPARE_BYTES (64 * 1024)

const struct cfg_key service_keys[] = {
    CFG_I64(struct service_limits, body_max_bytes, "HR_MAX_BODY_BYTES", "1048576", 1024, 7340032,
            "longest command, in bytes; the gateway's limit should be the same"),
    CFG_END,
};

struct work {
    struct command command; // first: handlers get a pointer to it
    struct service *service;
    const struct command_row *row;
    struct subject_parts subject;
    const char *reply;
    bool headers_are_cut;
    bool headers_are_sound;
    bool json;
    const char *transcript; // the header HR-Transcript; NULL: none
    int64_t start_ns;
    struct work *next; // in the list of spare ones
};

struct listener {
    struct service *service;
    const struct command_row *row;
    command_fn handle;
    void *ctx;
    struct subscription *sub;
};

struct service {
    struct conn *conn;
    const struct service_config *config;
    struct service_limits limits;
    struct listener *listeners; // owned; one for every command, and ping
    size_t listener_count;
    struct command_row ping;
    struct discover *discover;
    struct work *spare;
    size_t spare_count;
    size_t in_hand;
    struct metric *requests;
    struct metric *seconds;
};

static const double latency_bounds[] = {.0005, .001, .0025, .005, .01, .025, .05,
                                        .1,    .25,  .5,    1,    2.5, 5};

// --- work items ----------------------------------------------------------------------------------

static struct work *work_take(struct service *service)
{
    struct work *work = service->spare;
    struct arena *arena;

    if (work != NULL) {
        service->spare = work->next;
        service->spare_count--;
    } else {
        work = calloc(1, sizeof *work);
        if (work == NULL)
            abort();
        work->command.arena = arena_create(ARENA_BYTES);
    }
    arena = work->command.arena;
    *work = (struct work){.service = service, .command = {.arena = arena}};
    work->start_ns = clock_now_ns();
    service->in_hand++;
    return work;
}

static void work_done(struct work *work, unsigned status)
{
    struct service *service = work->service;
    char labels[160];
    double seconds = (double)(clock_now_ns() - work->start_ns) / 1e9;

    (void)snprintf(labels, sizeof labels, "%s\x1f%s\x1f%u", work->row->noun, work->row->verb,
                   status);
    metric_add(service->requests, labels, 1);
    (void)snprintf(labels, sizeof labels, "%s\x1f%s", work->row->noun, work->row->verb);
    metric_observe(service->seconds, labels, seconds);
    service->in_hand--;
    arena_reset(work->command.arena);
    if (service->spare_count == SPARE_MAX) {
        arena_destroy(work->command.arena);
        free(work);
        return;
    }
    work->next = service->spare;
    service->spare = work;
    service->spare_count++;
}

// --- answers -------------------------------------------------------------------------------------

struct answer {
    struct header headers[REPLY_HEADERS_MAX];
    size_t header_count;
    const void *data;
    size_t len;
};

static void add_header(struct answer *answer, const char *name, const char *value)
{
    assert(answer->header_count < REPLY_HEADERS_MAX);
    answer->headers[answer->header_count++] = (struct header){name, value};
}

// An answer longer than a message travels in parts, each with "HR-Part: <number>/<count>".
static enum rc send_parts(struct work *work, const struct answer *answer)
{
    size_t room = conn_max_payload(work->service->conn) - PART_OVERHEAD_BYTES;
    size_t count = (answer->len + room - 1) / room;
    enum rc rc = RC_OK;

    for (size_t i = 0; i < count && rc == RC_OK; i++) {
        struct answer part = *answer;
        size_t offset = i * room;
        char mark[48];

        (void)snprintf(mark, sizeof mark, "%zu/%zu", i + 1, count);
        add_header(&part, HEADER_PART, mark);
        part.data = (const char *)answer->data + offset;
        part.len = answer->len - offset < room ? answer->len - offset : room;
        rc = conn_publish(work->service->conn, work->reply, work->command.receipt, part.headers,
                          part.header_count, part.data, part.len);
    }
    return rc;
}

static void send_answer(struct work *work, const struct answer *answer)
{
    struct conn *conn = work->service->conn;
    enum rc rc;

    if (answer->len + PART_OVERHEAD_BYTES <= conn_max_payload(conn))
        rc = conn_publish(conn, work->reply, work->command.receipt, answer->headers,
                          answer->header_count, answer->data, answer->len);
    else
        rc = send_parts(work, answer);
    if (rc != RC_OK)
        log_warn("service.answer_lost", "noun=%s verb=%s reason=\"%s\"", work->row->noun,
                 work->row->verb, rc_text(rc));
}

const struct command_row *command_table_row(const struct command *command)
{
    return ((const struct work *)command)->row;
}

const char *command_reply_subject(const struct command *command)
{
    return ((const struct work *)command)->reply;
}

static void put_payload(struct work *work, struct answer *answer, const ProtobufCMessage *message)
{
    struct arena *arena = work->command.arena;
    Text bytes =
        work->json ? json_of_answer(arena, message, work->transcript) : wire_pack(arena, message);

    answer->data = bytes.data;
    answer->len = bytes.len;
    add_header(answer, HEADER_CONTENT_TYPE, work->json ? TYPE_JSON : TYPE_PROTOBUF);
}

void command_reply(struct command *command, const ProtobufCMessage *reply, uint64_t sequence)
{
    struct work *work = (struct work *)command;
    struct answer answer = {.header_count = 0};
    char number[24];

    put_payload(work, &answer, reply);
    if (sequence != 0) {
        (void)snprintf(number, sizeof number, "%" PRIu64, sequence);
        add_header(&answer, HEADER_SEQ, number);
    }
    send_answer(work, &answer);
    work_done(work, 200);
}

void command_reply_nothing(struct command *command)
{
    struct work *work = (struct work *)command;
    struct answer answer = {.data = "", .len = 0};

    add_header(&answer, HEADER_STATUS, "204");
    send_answer(work, &answer);
    work_done(work, 204);
}

void command_refuse(struct command *command, const struct problem *problem)
{
    struct work *work = (struct work *)command;
    struct answer answer = {.header_count = 0};
    unsigned status = problem_status(problem->code);
    char number[16];

    if (work->json) {
        Text body = problem_body(problem, command->arena, NULL);

        answer.data = body.data;
        answer.len = body.len;
        add_header(&answer, HEADER_CONTENT_TYPE, TYPE_JSON);
    } else {
        put_payload(work, &answer, &problem_to_wire(problem, command->arena)->base);
    }
    (void)snprintf(number, sizeof number, "%u", status);
    add_header(&answer, HEADER_ERROR_CODE, number);
    add_header(&answer, HEADER_ERROR_TEXT, problem_name(problem->code));
    send_answer(work, &answer);
    work_done(work, status);
}

void command_fail(struct command *command, enum rc rc)
{
    struct problem problem;

    (void)problem_of_rc(&problem, command->arena, rc);
    command_refuse(command, &problem);
}

// --- requests ------------------------------------------------------------------------------------

static enum rc read_header_number(const struct msg *msg, const char *name, struct command *command,
                                  uint64_t *value, struct problem *problem)
{
    if (msg_header(msg, name) == NULL)
        return RC_OK;
    *value = msg_header_u64(msg, name, 0);
    if (*value == 0)
        return problem_set(problem, command->arena, PROBLEM_INVALID_HEADER,
                           "Header %s should be a sequence number", name);
    return RC_OK;
}

static enum rc read_headers(struct work *work, const struct msg *msg, struct problem *problem)
{
    struct command *command = &work->command;
    const char *key = msg_header(msg, HEADER_IDEMPOTENCY_KEY);
    const char *transcript = msg_header(msg, HEADER_TRANSCRIPT);
    enum rc rc;

    if (work->headers_are_cut)
        return problem_set(problem, command->arena, PROBLEM_INVALID_HEADER,
                           "The headers are too long: at most 8192 bytes in all");
    if (!work->headers_are_sound)
        return problem_set(problem, command->arena, PROBLEM_INVALID_HEADER,
                           "The headers cannot be read; one without a value is not allowed");
    if (key != NULL && (*key == '\0' || strlen(key) > IDEMPOTENCY_KEY_MAX))
        return problem_set(problem, command->arena, PROBLEM_INVALID_HEADER,
                           "Header Idempotency-Key should have 1 to %d characters",
                           IDEMPOTENCY_KEY_MAX);
    if (transcript != NULL)
        work->transcript = arena_copy(command->arena, transcript, strlen(transcript));
    if (key != NULL)
        command->idempotency_key = arena_copy(command->arena, key, strlen(key));
    rc = read_header_number(msg, HEADER_IF_MATCH, command, &command->if_match, problem);
    if (rc == RC_OK)
        rc = read_header_number(msg, HEADER_CLAIM, command, &command->claim, problem);
    if (rc == RC_OK)
        rc = read_header_number(msg, HEADER_MIN_SEQ, command, &command->min_seq, problem);
    return rc;
}

static enum rc read_payload(struct work *work, const struct msg *msg, struct problem *problem)
{
    struct command *command = &work->command;
    struct issues issues = {.arena = command->arena};
    size_t max = (size_t)work->service->limits.body_max_bytes;
    enum rc rc;

    // Decoded, it may take many times its bytes.
    if (msg_len(msg) > max + BODY_SPARE_BYTES)
        return problem_set(problem, command->arena, PROBLEM_TOO_LARGE,
                           "The command should have at most %zu bytes", max);
    if (work->json) {
        // The message points into its text, and the text goes with msg.
        const char *text = arena_copy(command->arena, msg_data(msg), msg_len(msg));

        rc = json_read(&command->request, command->arena, work->row->request, text, msg_len(msg),
                       &issues, problem);
        if (rc != RC_OK)
            return rc;
    } else {
        rc = wire_unpack_request(&command->request, command->arena, work->row->request,
                                 msg_data(msg), msg_len(msg));
        if (rc == RC_TOO_LARGE)
            return problem_of_rc(problem, command->arena, rc);
        if (rc != RC_OK)
            return problem_set(problem, command->arena, PROBLEM_UNPARSABLE,
                               "There was an error parsing the body");
    }
    message_check(command->request, "body", work->json, &issues);
    return issues.count == 0 ? RC_OK : issues_to_problem(&issues, problem);
}

// Without the header, an object is JSON: its brace would start a group of field 15, which no message
// of the contract has.
static bool is_json(const struct msg *msg)
{
    const char *type = msg_header(msg, HEADER_CONTENT_TYPE);

    if (type == NULL)
        return msg_len(msg) > 0 && *(const char *)msg_data(msg) == '{';
    return strncasecmp(type, TYPE_JSON, sizeof TYPE_JSON - 1) == 0 &&
           strchr("; \t", type[sizeof TYPE_JSON - 1]) != NULL;
}

static void on_request(void *ctx, struct msg *msg)
{
    struct listener *listener = ctx;
    struct work *work;
    struct problem problem;
    const char *reply;

    if (msg_is_no_responders(msg))
        return; // a client's message, dressed as the server's
    reply = msg_reply(msg);
    work = work_take(listener->service);
    work->row = listener->row;
    if (subject_parse_command(&work->subject, msg_subject(msg)) != RC_OK || reply == NULL ||
        !subject_reply_allowed(reply, work->subject.key)) {
        log_warn("service.reply_refused", "noun=%s verb=%s", listener->row->noun,
                 listener->row->verb);
        work_done(work, 0);
        return;
    }
    work->reply = arena_copy(work->command.arena, reply, strlen(reply));
    work->headers_are_cut = msg_headers_are_cut(msg);
    work->headers_are_sound = msg_headers_are_sound(msg); // first: libnats says so only once
    work->json = is_json(msg);
    work->command.tenant = work->subject.tenant;
    work->command.key_id = work->subject.key;
    if (read_headers(work, msg, &problem) != RC_OK || read_payload(work, msg, &problem) != RC_OK)
        command_refuse(&work->command, &problem);
    else
        listener->handle(listener->ctx, &work->command);
}

static void on_ping(void *ctx, struct command *command)
{
    struct service *service = ((struct work *)command)->service;
    Hr__Pong *pong = wire_new(command->arena, &hr__pong__descriptor);
    const char *reason = NULL;

    (void)ctx;
    pong->has_worker = true;
    pong->worker = text_of(service->config->name);
    pong->has_ready = true;
    pong->ready = service->config->ready == NULL ||
                  service->config->ready(service->config->ready_ctx, &reason);
    if (storage_is_full()) {
        pong->ready = false;
        reason = STORAGE_REASON;
    }
    pong->has_reason = reason != NULL;
    if (reason != NULL)
        pong->reason = text_of(reason);
    command_reply(command, &pong->base, 0);
}

// --- the service ---------------------------------------------------------------------------------

static enum rc listen_to(struct service *service, const struct command_row *row, command_fn handle,
                         void *ctx)
{
    struct listener *listener = &service->listeners[service->listener_count];
    char subject[SUBJECT_BYTES];
    enum rc rc;

    *listener = (struct listener){.service = service, .row = row, .handle = handle, .ctx = ctx};
    (void)snprintf(subject, sizeof subject, "hr.v1.cmd.*.*.%s.%s", row->noun, row->verb);
    rc = conn_subscribe(&listener->sub, service->conn, subject, service->config->name, on_request,
                        listener);
    if (rc == RC_OK)
        service->listener_count++;
    return rc;
}

static command_fn handler_of(const struct service_config *config, enum command_id id)
{
    for (size_t i = 0; i < config->handler_count; i++) {
        if (config->handlers[i].id == id)
            return config->handlers[i].handle;
    }
    return NULL;
}

// Every command of the worker is answered, and no other.
static enum rc listen_to_command(struct service *service, enum command_id id)
{
    const struct service_config *config = service->config;
    const struct command_row *row = command_row(id);
    command_fn handle = handler_of(config, id);
    bool is_ours = strcmp(row->worker, config->name) == 0;

    if (is_ours && handle == NULL && decide_of(id) != NULL)
        return listen_to(service, row, config->decide, config->store);
    if (is_ours != (handle != NULL)) {
        log_error("service.handlers", "noun=%s verb=%s worker=%s", row->noun, row->verb,
                  row->worker);
        return RC_INTERNAL;
    }
    return is_ours ? listen_to(service, row, handle, config->ctx) : RC_OK;
}

static enum rc listen_to_all(struct service *service)
{
    const char *name = service->config->name;
    enum rc rc = RC_OK;

    for (int id = CMD_NONE + 1; id < CMD_COUNT && rc == RC_OK; id++)
        rc = listen_to_command(service, (enum command_id)id);
    service->ping = (struct command_row){.worker = name,
                                         .noun = name,
                                         .verb = "ping",
                                         .request = &hr__empty__descriptor,
                                         .reply = &hr__pong__descriptor};
    if (rc == RC_OK)
        rc = listen_to(service, &service->ping, on_ping, NULL);
    return rc;
}

enum rc service_open(struct service **out, struct conn *conn, const struct service_config *config)
{
    struct service *service = calloc(1, sizeof *service);
    enum rc rc;

    if (service == NULL)
        abort();
    service->listeners = calloc(CMD_COUNT, sizeof *service->listeners);
    if (service->listeners == NULL)
        abort();
    rc = cfg_load(service_keys, &service->limits);
    service->conn = conn;
    service->config = config;
    service->requests = metric_create(METRIC_COUNTER, "handoffrail_commands_total",
                                      "Commands answered, by outcome", "noun,verb,status", NULL, 0);
    service->seconds = metric_create(
        METRIC_HISTOGRAM, "handoffrail_command_seconds", "From a command's arrival to its answer",
        "noun,verb", latency_bounds, sizeof latency_bounds / sizeof latency_bounds[0]);
    if (rc == RC_OK)
        rc = listen_to_all(service);
    if (rc == RC_OK)
        rc = discover_open(&service->discover, conn, config->name, config->help);
    if (rc != RC_OK) {
        service_close(service);
        return rc;
    }
    *out = service;
    return RC_OK;
}

void service_drain(struct service *service)
{
    for (size_t i = 0; i < service->listener_count; i++) {
        conn_drain(service->listeners[i].sub);
        service->listeners[i].sub = NULL;
    }
}

size_t service_in_hand(const struct service *service)
{
    return service->in_hand;
}

void service_close(struct service *service)
{
    if (service == NULL)
        return;
    service_drain(service);
    discover_close(service->discover);
    while (service->spare != NULL) {
        struct work *work = service->spare;

        service->spare = work->next;
        arena_destroy(work->command.arena);
        free(work);
    }
    free(service->listeners);
    free(service);
}
