// Many packets, and agents that take them.
//
//   bench_packets create URL USER PASSWORD TENANT KEY PACKETS IN_FLIGHT < BODY
//       creates so many packets of one JSON body
//   bench_packets next URL USER PASSWORD TENANT KEY PACKETS AGENTS CREATORS < BODY
//       so many agents wait with claim-next while creators make packets as fast as they can; each
//       packet must be given to one agent, and all must be given
#include "broker/base/id.h"
#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/nats/conn.h"
#include "broker/nats/request.h"
#include "broker/nats/subjects.h"
#include "tests/bench/load.h"

#include <stdlib.h>
#include <uthash.h>

#define TIMEOUT_MS 70000
#define WAIT_SECONDS 60
#define BODY_MAX (1 << 20)

// A packet somebody was given.
struct given {
    UT_hash_handle hh;
    char id[40];
};

struct worker {
    bool takes;
    Text wish; // of one that takes; owned
    int64_t start_ns;
};

static struct {
    struct conn *conn;
    struct requests *requests;
    struct arena *arena;
    const char *tenant;
    const char *key;
    Text create;
    long to_create;
    long twice; // given to two agents
    struct given *given;
    int running;
    struct load load;
} bench;

static void run(struct worker *worker);

static void end_one(void)
{
    if (--bench.running > 0)
        return;
    requests_close(bench.requests);
    conn_close(bench.conn);
}

static void note_given(const struct msg *reply)
{
    ProtobufCMessage *packet;
    struct given *given = NULL;
    char id[40] = "";

    if (wire_unpack(&packet, bench.arena, &hr__packet__descriptor, msg_data(reply),
                    msg_len(reply)) != RC_OK)
        abort();
    memcpy(id, ((Hr__Packet *)packet)->id.data, UUID_TEXT_BYTES - 1);
    HASH_FIND_STR(bench.given, id, given);
    bench.twice += given != NULL;
    if (given == NULL) {
        given = calloc(1, sizeof *given);
        if (given == NULL)
            abort();
        memcpy(given->id, id, sizeof id);
        HASH_ADD_STR(bench.given, id, given);
    }
    arena_reset(bench.arena);
}

static void on_reply(void *ctx, enum rc rc, struct msg *reply)
{
    struct worker *worker = ctx;

    if (rc == RC_CLOSED)
        return;
    if (rc != RC_OK || msg_header(reply, HEADER_ERROR_CODE) != NULL) {
        if (bench.load.failed++ < 5)
            (void)fprintf(stderr, "%s: %s %s\n", worker->takes ? "next" : "create", rc_text(rc),
                          rc == RC_OK ? msg_header(reply, HEADER_ERROR_TEXT) : "");
    } else if (worker->takes) {
        if (msg_header(reply, HEADER_STATUS) == NULL)
            note_given(reply);
        load_finish(&bench.load, worker->start_ns);
    }
    run(worker);
}

static void send_command(struct worker *worker, const char *verb, Text bytes)
{
    char subject[SUBJECT_BYTES];
    const struct request request = {.subject = subject,
                                    .inbox = bench.key,
                                    .data = bytes.data,
                                    .len = bytes.len,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_reply,
                                    .ctx = worker};

    worker->start_ns = clock_now_ns();
    subject_command(subject, bench.tenant, bench.key, "packet", verb);
    request_send(bench.requests, &request);
}

static void run(struct worker *worker)
{
    if (worker->takes && bench.load.started < bench.load.count) {
        bench.load.started++;
        send_command(worker, "claim-next", worker->wish);
    } else if (!worker->takes && bench.to_create > 0) {
        bench.to_create--;
        send_command(worker, "create", bench.create);
    } else {
        end_one();
    }
}

static Text kept(Text text)
{
    uint8_t *copy = malloc(text.len);

    if (copy == NULL)
        abort();
    memcpy(copy, text.data, text.len);
    arena_reset(bench.arena);
    return (Text){text.len, copy};
}

static void prepare(void)
{
    static char body[BODY_MAX];
    size_t len = fread(body, 1, sizeof body, stdin);
    struct issues issues = {.arena = bench.arena};
    struct problem problem;
    ProtobufCMessage *message;

    if (json_read(&message, bench.arena, &hr__create_packet__descriptor, body, len, &issues,
                  &problem) != RC_OK ||
        issues.count > 0) {
        (void)fprintf(stderr, "the body on standard input is no packet\n");
        exit(2);
    }
    bench.create = kept(wire_pack(bench.arena, message));
}

// Every agent has an id of its own.
static Text wish_of(long number)
{
    Hr__ClaimNext wish = HR__CLAIM_NEXT__INIT;
    char id[32];

    (void)snprintf(id, sizeof id, "bench-%ld", number);
    wish.has_agent_id = wish.has_agent_name = wish.has_wait_seconds = wish.has_scope = true;
    wish.agent_id = text_of(id);
    wish.agent_name = text_of("Bench");
    wish.wait_seconds = WAIT_SECONDS;
    wish.scope = HR__CLAIM_SCOPE__CLAIM_SCOPE_ANY;
    return kept(wire_pack(bench.arena, &wish.base));
}

static void free_given(void)
{
    struct given *given;
    struct given *next;

    HASH_ITER(hh, bench.given, given, next)
    {
        HASH_DEL(bench.given, given);
        free(given);
    }
}

static long number(const char *text)
{
    long value = strtol(text, NULL, 10);

    if (value < 1 || value > 100000000) {
        (void)fprintf(stderr, "%s should be a number of at least 1\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    bool creates = argc == 9 && strcmp(argv[1], "create") == 0;
    bool takes = argc == 10 && strcmp(argv[1], "next") == 0;
    struct conn_config config;
    struct worker *workers;
    long takers;
    long creators;
    long given;

    if (!creates && !takes) {
        (void)fprintf(
            stderr,
            "Usage: %s create URL USER PASSWORD TENANT KEY PACKETS IN_FLIGHT < BODY\n"
            "       %s next URL USER PASSWORD TENANT KEY PACKETS AGENTS CREATORS < BODY\n",
            argv[0], argv[0]);
        return 2;
    }
    config =
        (struct conn_config){.url = argv[2], .name = "bench", .user = argv[3], .password = argv[4]};
    bench.tenant = argv[5];
    bench.key = argv[6];
    bench.arena = arena_create(64 * 1024);
    bench.to_create = number(argv[7]);
    takers = takes ? number(argv[8]) : 0;
    creators = number(argv[takes ? 9 : 8]);
    prepare();
    if (conn_open(&bench.conn, uv_default_loop(), &config, 2000) != RC_OK)
        return 1;
    bench.requests = requests_open(bench.conn, uv_default_loop(), bench.key);
    load_init(&bench.load, "claim-next", takes ? bench.to_create : 1, (int)(takers + creators));
    workers = calloc((size_t)(takers + creators), sizeof *workers);
    if (workers == NULL)
        abort();
    bench.running = (int)(takers + creators);
    for (long i = 0; i < takers + creators; i++) {
        workers[i].takes = i < takers;
        if (workers[i].takes)
            workers[i].wish = wish_of(i);
        run(&workers[i]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    given = (long)HASH_COUNT(bench.given);
    if (takes) {
        load_print(&bench.load, 1, stdout);
        (void)fprintf(stderr, "%ld packets given, %ld of them twice\n", given, bench.twice);
    }
    if (takes && (given != bench.load.count || bench.twice > 0))
        bench.load.failed++;
    free_given();
    load_fini(&bench.load);
    for (long i = 0; i < takers; i++)
        free(workers[i].wish.data);
    free(workers);
    free(bench.create.data);
    arena_destroy(bench.arena);
    return bench.load.failed == 0 ? 0 : 1;
}
