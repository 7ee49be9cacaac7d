// How fast records get into Postgres, and what that costs on both sides.
//
//   tests/support/with_postgres.sh bench_projection [batches] [records per batch] [summary bytes]
//                                                   [tenant]
//
// The load is packets that are created, claimed, started and completed, with 500 of them open at
// any moment, of eight tenants unless one is named; so three records of four are updates.
#include "broker/base/timestamp.h"
#include "broker/sql/migrate.h"
#include "workers/audit/projection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OPEN_PACKETS 500
#define TENANTS 8
#define AGENTS 40
#define TAGS 200
#define VOCABULARY 8000

struct open_packet {
    struct uuid id;
    int stage;
    unsigned tenant;
    unsigned source;
    unsigned target;
    int64_t created_us;
    Text summary; // owned
};

struct bench {
    uv_loop_t loop;
    struct pg *pg;
    struct projection *projection;
    struct open_packet open[OPEN_PACKETS];
    struct arena *arena; // one batch
    uint64_t sequence;
    const char *tenant; // NULL: eight of them
    size_t summary_len;
    size_t record_bytes;
    long backend; // process of our session
    bool up;
    bool done;
    enum rc rc;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static void on_state(void *ctx, bool up)
{
    ((struct bench *)ctx)->up = up;
}

static void on_done(void *ctx, enum rc rc)
{
    ((struct bench *)ctx)->done = true;
    ((struct bench *)ctx)->rc = rc;
}

static void on_backend(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    if (rc == RC_OK)
        ((struct bench *)ctx)->backend = (long)pg_get_int(results[0], 0, 0);
    on_done(ctx, rc);
}

static void finish(struct bench *bench, enum rc rc, const char *what)
{
    if (rc != RC_OK)
        fail(what);
    while (!bench->done)
        uv_run(&bench->loop, UV_RUN_ONCE);
    bench->done = false;
    if (bench->rc != RC_OK)
        fail(what);
}

static void set(protobuf_c_boolean *has, Text *field, Text value)
{
    *has = 1;
    *field = value;
}

static Text id_in(struct arena *arena, const struct uuid *id)
{
    char *text = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(text, id);
    return text_of(text);
}

// Text as people write it, for the search index: out of some thousand words, few of which are used
// most of the time.
static void write_words(Text text)
{
    uint32_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (number == 0) {
            uint32_t random[2];

            text.data[i] = ' ';
            random_bytes(random, sizeof random);
            number = 30 + (uint32_t)((uint64_t)(random[0] % VOCABULARY) * (random[1] % VOCABULARY) /
                                     VOCABULARY);
            number *= 7919; // words that begin alike are not alike
        } else {
            text.data[i] = (uint8_t) "etaoinshrdlucmfwypvbgk"[number % 22];
            number /= 22;
        }
    }
}

static void renew(struct bench *bench, struct open_packet *packet)
{
    uint32_t dice[3];

    random_bytes(dice, sizeof dice);
    free(packet->summary.data);
    *packet = (struct open_packet){
        .id = uuid_new(),
        .tenant = dice[0] % TENANTS,
        .source = dice[1] % AGENTS,
        .target = dice[2] % AGENTS,
        .created_us = timestamp_now_us(),
        .summary = {bench->summary_len, malloc(bench->summary_len + 1)},
    };
    if (packet->summary.data == NULL)
        abort();
    write_words(packet->summary);
}

static Hr__Packet *make_packet(struct arena *arena, const struct open_packet *from)
{
    static const Hr__Status statuses[] = {HR__STATUS__STATUS_CREATED, HR__STATUS__STATUS_CLAIMED,
                                          HR__STATUS__STATUS_IN_PROGRESS,
                                          HR__STATUS__STATUS_COMPLETED};
    Hr__Packet *packet = wire_new(arena, &hr__packet__descriptor);
    Hr__Metadata *metadata = wire_new(arena, &hr__metadata__descriptor);

    packet->metadata = metadata;
    packet->context = wire_new(arena, &hr__context__descriptor);
    set(&packet->has_id, &packet->id, id_in(arena, &from->id));
    set(&packet->context->has_summary, &packet->context->summary, from->summary);
    packet->has_status = 1;
    packet->status = statuses[from->stage];
    packet->created_at = wire_timestamp(arena, from->created_us);
    packet->updated_at = wire_timestamp(arena, timestamp_now_us());
    metadata->has_priority = 1;
    metadata->priority = (Hr__Priority)(1 + from->created_us % 4);
    metadata->source_agent = wire_new(arena, &hr__source_agent__descriptor);
    metadata->target_agent = wire_new(arena, &hr__target_agent__descriptor);
    set(&metadata->source_agent->has_id, &metadata->source_agent->id,
        text_of(arena_printf(arena, "agent-%u", from->source)));
    set(&metadata->target_agent->has_id, &metadata->target_agent->id,
        text_of(arena_printf(arena, "agent-%u", from->target)));
    metadata->n_tags = 3;
    metadata->tags = arena_calloc(arena, 3, sizeof(Text));
    for (int i = 0; i < 3; i++)
        metadata->tags[i] =
            text_of(arena_printf(arena, "tag-%d", (int)(from->created_us / (i + 1) % TAGS)));
    return packet;
}

static struct projection_item next_item(struct bench *bench)
{
    static const char *const types[] = {"created", "claimed", "in_progress", "completed"};
    struct arena *arena = bench->arena;
    Hr__PacketRecord *record = wire_new(arena, &hr__packet_record__descriptor);
    Hr__Event *event = wire_new(arena, &hr__event__descriptor);
    struct uuid event_id = uuid_new();
    struct projection_item item;
    struct open_packet *from;
    uint32_t dice;

    random_bytes(&dice, sizeof dice);
    from = &bench->open[dice % OPEN_PACKETS];
    record->event = event;
    record->packet = make_packet(arena, from);
    set(&event->has_id, &event->id, id_in(arena, &event_id));
    set(&event->has_type, &event->type, text_of(types[from->stage]));
    set(&event->has_actor, &event->actor,
        text_of(arena_printf(arena, "agent:agent-%u", from->target)));
    set(&event->has_key_id, &event->key_id, text_of("key-1"));
    event->at = wire_timestamp(arena, timestamp_now_us());
    event->details =
        wire_json(arena, text_of("{\"from_status\":\"claimed\",\"to_status\":\"in_progress\"}"));
    item = (struct projection_item){
        .sequence = ++bench->sequence,
        .tenant = text_of(bench->tenant != NULL ? bench->tenant
                                                : arena_printf(arena, "tenant-%u", from->tenant)),
        .record = record,
        .data = wire_pack(arena, &record->base),
    };
    bench->record_bytes += item.data.len;
    if (++from->stage == 4)
        renew(bench, from);
    return item;
}

// Processor time that a process has had.
static double seconds_of(long pid)
{
    char path[64];
    char line[1024] = "";
    char *at;
    double ticks = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        fail("reading /proc");
    (void)fclose(file);
    at = strrchr(line, ')');
    if (at == NULL)
        fail("reading /proc");
    at++;
    for (int field = 3; field <= 15; field++) { // 14 and 15 are what we want
        at = strchr(at, ' ') + 1;
        if (field >= 14)
            ticks += strtod(at, NULL);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void run(struct bench *bench, size_t batches, size_t size)
{
    struct projection_item *items = calloc(size, sizeof *items);
    double *ms = calloc(batches, sizeof *ms);
    double backend = seconds_of(bench->backend);
    double rows = (double)(batches * size);
    double wall = 0;
    double own = 0;

    if (items == NULL || ms == NULL)
        abort();
    for (size_t i = 0; i < batches; i++) {
        int64_t start_ns;
        double own_start;

        arena_reset(bench->arena);
        for (size_t k = 0; k < size; k++)
            items[k] = next_item(bench);
        own_start = own_seconds();
        start_ns = clock_now_ns();
        finish(bench, projection_write(bench->projection, items, size, on_done, bench), "write");
        ms[i] = (double)(clock_now_ns() - start_ns) / 1e6;
        own += own_seconds() - own_start;
        wall += ms[i] / 1000;
    }
    backend = seconds_of(bench->backend) - backend;
    qsort(ms, batches, sizeof *ms, compare);
    printf("%zu batches of %zu, %.0f bytes per record\n", batches, size,
           (double)bench->record_bytes / rows);
    printf("  %.0f records/s; ms per batch: p50 %.1f, p99 %.1f, max %.1f\n", rows / wall,
           ms[batches / 2], ms[batches * 99 / 100], ms[batches - 1]);
    printf("  processor, us per record: backend %.1f, projector %.1f\n", backend / rows * 1e6,
           own / rows * 1e6);
    free(items);
    free(ms);
}

int main(int argc, char **argv)
{
    static const struct pg_statement backend_pid = {"backend_pid", "SELECT pg_backend_pid()"};
    size_t batches = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    static const char key[] = "1 a-key-for-benches-and-for-nothing-else";
    struct keyring *ring = NULL;
    struct bench *bench = calloc(1, sizeof *bench);
    const struct pg_options options = {
        .conninfo = getenv("HR_POSTGRES_URL"),
        .application = "bench",
        .session = PROJECTION_SESSION,
        .connections = 1,
        .timeout_ms = 60000,
        .on_state = on_state,
        .ctx = bench,
    };

    if (bench == NULL || options.conninfo == NULL || batches == 0 || size == 0)
        fail("reading arguments and HR_POSTGRES_URL");
    if (keyring_parse(&ring, key, sizeof key - 1, "bench") != RC_OK)
        fail("reading the key");
    bench->summary_len = argc > 3 ? strtoul(argv[3], NULL, 10) : 1100;
    bench->tenant = argc > 4 ? argv[4] : NULL;
    bench->arena = arena_create(1 << 20);
    for (size_t i = 0; i < OPEN_PACKETS; i++)
        renew(bench, &bench->open[i]);
    uv_loop_init(&bench->loop);
    if (migrate_apply(options.conninfo, sql_files, 10000) != RC_OK ||
        pg_open(&bench->pg, &bench->loop, &options) != RC_OK)
        fail("opening");
    while (!bench->up)
        uv_run(&bench->loop, UV_RUN_ONCE);
    bench->projection = projection_create(bench->pg, 0, ring);
    finish(bench, projection_load(bench->projection, on_done, bench), "load");
    finish(bench, projection_begin_epoch(bench->projection, 0, 0, "bench", on_done, bench),
           "epoch");
    finish(bench, pg_query(bench->pg, &backend_pid, NULL, 0, on_backend, bench), "pid");
    run(bench, batches, size);

    pg_close(bench->pg, NULL, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    projection_destroy(bench->projection);
    keyring_close(ring);
    for (size_t i = 0; i < OPEN_PACKETS; i++)
        free(bench->open[i].summary.data);
    arena_destroy(bench->arena);
    free(bench);
    return 0;
}
