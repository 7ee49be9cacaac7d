// The rail without the gateway, and its reference.
//
//   bench_nats lifecycle URL USER PASSWORD TENANT KEY LIFECYCLES IN_FLIGHT
//       create, claim, in_progress, completed as protobuf commands, as an agent in C sends them
//   bench_nats append URL USER PASSWORD BYTES APPENDS IN_FLIGHT
//       appends of so many bytes, each to a subject of its own, to a stream of the bench's: what
//       the same server does when nobody thinks about anything
#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/nats/conn.h"
#include "broker/nats/request.h"
#include "broker/nats/subjects.h"
#include "tests/bench/load.h"

#include <stdlib.h>

#define TIMEOUT_MS 10000
#define STREAM "HR_BENCH"

struct flow {
    int step;
    int64_t start_ns;
    char packet_id[40];
};

static struct {
    struct conn *conn;
    struct requests *requests;
    struct arena *arena;
    const char *tenant;
    const char *key;
    Text create; // packed, the same for all
    char *bytes;
    size_t len;
    long serial;
    int running;
    struct load load;
} bench;

static void finish(void)
{
    requests_close(bench.requests);
    conn_close(bench.conn);
}

// --- lifecycles ----------------------------------------------------------------------------------

static void send_step(struct flow *flow);

static void begin(struct flow *flow)
{
    if (bench.load.started == bench.load.count) {
        if (--bench.running == 0)
            finish();
        return;
    }
    bench.load.started++;
    flow->step = 0;
    flow->start_ns = clock_now_ns();
    send_step(flow);
}

static void on_reply(void *ctx, enum rc rc, struct msg *reply)
{
    struct flow *flow = ctx;

    if (rc != RC_OK || msg_header(reply, HEADER_ERROR_CODE) != NULL) {
        if (bench.load.failed++ < 5)
            (void)fprintf(stderr, "step %d: %s %s\n", flow->step, rc_text(rc),
                          rc == RC_OK ? msg_header(reply, HEADER_ERROR_TEXT) : "");
        begin(flow);
        return;
    }
    if (flow->step == 0) {
        ProtobufCMessage *packet;

        if (wire_unpack(&packet, bench.arena, &hr__packet__descriptor, msg_data(reply),
                        msg_len(reply)) != RC_OK)
            abort();
        memcpy(flow->packet_id, ((Hr__Packet *)packet)->id.data, 36);
        arena_reset(bench.arena);
    }
    if (++flow->step == LIFECYCLE_STEPS) {
        load_finish(&bench.load, flow->start_ns);
        begin(flow);
        return;
    }
    send_step(flow);
}

static Text payload(struct flow *flow)
{
    Text id = {36, (uint8_t *)flow->packet_id};

    if (flow->step == 0)
        return bench.create;
    if (flow->step == 1) {
        Hr__ClaimPacket claim = HR__CLAIM_PACKET__INIT;

        claim.has_packet_id = claim.has_agent_id = claim.has_agent_name = true;
        claim.packet_id = id;
        claim.agent_id = text_of("billing-01");
        claim.agent_name = text_of("BillingBot");
        return wire_pack(bench.arena, &claim.base);
    }
    Hr__UpdatePacket update = HR__UPDATE_PACKET__INIT;
    update.has_packet_id = update.has_status = true;
    update.packet_id = id;
    update.status = flow->step == 2 ? HR__STATUS__STATUS_IN_PROGRESS : HR__STATUS__STATUS_COMPLETED;
    return wire_pack(bench.arena, &update.base);
}

static void send_step(struct flow *flow)
{
    static const char *const verbs[] = {"create", "claim", "update", "update"};
    char subject[SUBJECT_BYTES];
    Text bytes = payload(flow);
    const struct request request = {.subject = subject,
                                    .inbox = bench.key,
                                    .data = bytes.data,
                                    .len = bytes.len,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_reply,
                                    .ctx = flow};

    subject_command(subject, bench.tenant, bench.key, "packet", verbs[flow->step]);
    request_send(bench.requests, &request);
    if (flow->step > 0)
        arena_reset(bench.arena);
}

// --- appends -------------------------------------------------------------------------------------

static void append(struct flow *flow);

static void on_appended(void *ctx, enum rc rc, struct msg *reply)
{
    struct flow *flow = ctx;

    if (rc != RC_OK || memmem(msg_data(reply), msg_len(reply), "\"seq\":", 6) == NULL)
        bench.load.failed++;
    load_finish(&bench.load, flow->start_ns);
    append(flow);
}

static void append(struct flow *flow)
{
    char subject[64];
    const struct header header = {"Nats-Expected-Last-Subject-Sequence", "0"};
    const struct request request = {.subject = subject,
                                    .inbox = "bench",
                                    .headers = &header,
                                    .header_count = 1,
                                    .data = bench.bytes,
                                    .len = bench.len,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_appended,
                                    .ctx = flow};

    if (bench.load.started == bench.load.count) {
        if (--bench.running == 0)
            finish();
        return;
    }
    bench.load.started++;
    (void)snprintf(subject, sizeof subject, "hr.bench.%ld", bench.serial++);
    flow->start_ns = clock_now_ns();
    request_send(bench.requests, &request);
}

static void on_stream(void *ctx, enum rc rc, struct msg *reply)
{
    struct flow *flows = ctx;

    if (rc != RC_OK || memmem(msg_data(reply), msg_len(reply), "\"error\"", 7) != NULL) {
        (void)fprintf(stderr, "stream: %s\n", rc_text(rc));
        exit(1);
    }
    bench.load.start_ns = clock_now_ns();
    for (int i = 0; i < bench.load.in_flight; i++)
        append(&flows[i]);
}

static void create_stream(struct flow *flows)
{
    static const char config[] = "{\"name\":\"" STREAM "\",\"subjects\":[\"hr.bench.*\"],"
                                 "\"storage\":\"file\",\"max_msgs_per_subject\":100000,"
                                 "\"allow_direct\":true,\"discard\":\"new\"}";
    const struct request request = {.subject = "$JS.API.STREAM.CREATE." STREAM,
                                    .inbox = "bench",
                                    .data = config,
                                    .len = sizeof config - 1,
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_stream,
                                    .ctx = flows};

    request_send(bench.requests, &request);
}

// --- both ----------------------------------------------------------------------------------------

static void prepare_create(void)
{
    struct issues issues = {.arena = bench.arena};
    struct problem problem;
    ProtobufCMessage *message;
    const char *body = load_create_body();

    if (json_read(&message, bench.arena, &hr__create_packet__descriptor, body, strlen(body),
                  &issues, &problem) != RC_OK ||
        issues.count > 0)
        abort();
    bench.create = wire_pack(bench.arena, message);
    uint8_t *copy = malloc(bench.create.len);
    if (copy == NULL)
        abort();
    memcpy(copy, bench.create.data, bench.create.len);
    bench.create.data = copy;
    arena_reset(bench.arena);
}

int main(int argc, char **argv)
{
    bool lifecycle = argc == 9 && strcmp(argv[1], "lifecycle") == 0;
    bool append_mode = argc == 8 && strcmp(argv[1], "append") == 0;
    struct conn_config config;
    struct flow *flows;

    if (!lifecycle && !append_mode) {
        (void)fprintf(stderr,
                      "Usage: %s lifecycle URL USER PASSWORD TENANT KEY LIFECYCLES IN_FLIGHT\n"
                      "       %s append URL USER PASSWORD BYTES APPENDS IN_FLIGHT\n",
                      argv[0], argv[0]);
        return 2;
    }
    config =
        (struct conn_config){.url = argv[2], .name = "bench", .user = argv[3], .password = argv[4]};
    bench.arena = arena_create(64 * 1024);
    if (conn_open(&bench.conn, uv_default_loop(), &config, 2000) != RC_OK)
        return 1;
    bench.requests = requests_open(bench.conn, uv_default_loop(), lifecycle ? argv[6] : "bench");
    load_init(&bench.load, lifecycle ? "nats lifecycles" : "raw appends",
              strtol(argv[argc - 2], NULL, 10), (int)strtol(argv[argc - 1], NULL, 10));
    bench.running = bench.load.in_flight;
    flows = calloc((size_t)bench.load.in_flight, sizeof *flows);
    if (flows == NULL)
        abort();
    if (lifecycle) {
        bench.tenant = argv[5];
        bench.key = argv[6];
        prepare_create();
        for (int i = 0; i < bench.load.in_flight; i++)
            begin(&flows[i]);
    } else {
        bench.len = strtoul(argv[5], NULL, 10);
        bench.bytes = malloc(bench.len);
        if (bench.bytes == NULL)
            abort();
        memset(bench.bytes, 'x', bench.len);
        create_stream(flows);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    load_print(&bench.load, lifecycle ? LIFECYCLE_STEPS : 1, stdout);
    load_fini(&bench.load);
    free(flows);
    free(bench.bytes);
    free(bench.create.data);
    arena_destroy(bench.arena);
    return bench.load.failed == 0 ? 0 : 1;
}
