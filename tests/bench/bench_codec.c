// What reading and writing a packet's JSON costs, against the bare parser on the same bytes.
//
//   bench_codec [ROUNDS]
#include "broker/base/buf.h"
#include "broker/base/timestamp.h"
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define BODY_BYTES 3900

static char body[8192];
static size_t len;

static void make_body(void)
{
    struct buf out = {0};

    buf_puts(&out, "{\"metadata\":{\"source_agent\":{\"id\":\"a\",\"name\":\"A\"},\"target_agent\":"
                   "{\"id\":\"b\",\"name\":\"B\"},\"tags\":[\"x\",\"y\"]},\"context\":{\"summary\":"
                   "\"Customer wants to upgrade\",\"custom\":{\"a\":[1,2.50,{\"b\":null}]},"
                   "\"conversation_state\":[");
    for (int i = 0; out.len < BODY_BYTES; i++)
        buf_printf(
            &out,
            "%s{\"role\":\"user\",\"content\":\"line %d of what was said, with a \\u00e9 and a "
            "\\\"quote\\\"\",\"timestamp\":\"2026-11-20T10:00:00Z\"}",
            i > 0 ? "," : "", i);
    buf_puts(&out, "]}}");
    assert(out.len < sizeof body);
    len = out.len;
    memcpy(body, out.data, len);
    buf_fini(&out);
}

static double bare(long rounds)
{
    static const yajl_callbacks none = {0};
    int64_t start = clock_now_ns();

    for (long i = 0; i < rounds; i++) {
        yajl_handle yajl = yajl_alloc(&none, NULL, NULL);

        if (yajl_parse(yajl, (const unsigned char *)body, len) != yajl_status_ok)
            abort();
        yajl_free(yajl);
    }
    return (double)(clock_now_ns() - start) / 1e3 / (double)rounds;
}

static double reading(long rounds, struct arena *arena)
{
    int64_t start = clock_now_ns();

    for (long i = 0; i < rounds; i++) {
        struct issues issues = {.arena = arena};
        struct problem problem;
        ProtobufCMessage *message;

        if (json_read(&message, arena, &hr__create_packet__descriptor, body, len, &issues,
                      &problem) != RC_OK)
            abort();
        message_check(message, "body", true, &issues);
        if (issues.count > 0)
            abort();
        arena_reset(arena);
    }
    return (double)(clock_now_ns() - start) / 1e3 / (double)rounds;
}

static double writing(long rounds, struct arena *arena)
{
    struct arena *kept = arena_create(65536);
    struct issues issues = {.arena = kept};
    struct problem problem;
    ProtobufCMessage *message;
    int64_t start;

    if (json_read(&message, kept, &hr__create_packet__descriptor, body, len, &issues, &problem) !=
        RC_OK)
        abort();
    message_check(message, "body", true, &issues);
    start = clock_now_ns();
    for (long i = 0; i < rounds; i++) {
        if (json_of_message(arena, message).len < BODY_BYTES / 2)
            abort();
        arena_reset(arena);
    }
    start = clock_now_ns() - start;
    arena_destroy(kept);
    return (double)start / 1e3 / (double)rounds;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    struct arena *arena = arena_create(65536);
    double reference;
    double read_us;
    double write_us;

    make_body();
    reference = bare(rounds);
    read_us = reading(rounds, arena);
    write_us = writing(rounds, arena);
    printf("{\"name\":\"codec\",\"bytes\":%zu,\"bare_parse_us\":%.2f,\"read_us\":%.2f,"
           "\"write_us\":%.2f,\"read_ratio\":%.2f,\"write_ratio\":%.2f}\n",
           len, reference, read_us, write_us, read_us / reference, write_us / reference);
    arena_destroy(arena);
    return 0;
}
