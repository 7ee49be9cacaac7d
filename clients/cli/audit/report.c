// Texts out of the log are written as JSON strings everywhere: whatever a row holds, it does
// nothing to a terminal.
#include "clients/cli/audit/report.h"

#include "broker/message/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct totals {
    uint64_t rows;
    uint64_t unsealed;
    uint64_t chains;
    uint64_t bad;
};

static struct totals sum(const struct verify *verify)
{
    struct totals totals = {0};
    const struct verify_finding *finding;

    for (size_t i = 0; (finding = verify_finding(verify, i)) != NULL; i++) {
        totals.rows += (uint64_t)finding->rows;
        totals.unsealed += (uint64_t)finding->unsealed;
        totals.chains += finding->rows > 0 ? 1 : 0;
        totals.bad += finding->kind != VERIFY_SOUND ? 1 : 0;
    }
    return totals;
}

static Text name_of(struct arena *arena, const struct verify_finding *finding)
{
    if (token_is_safe((const char *)finding->tenant.data, finding->tenant.len))
        return finding->tenant;
    return json_of_text(arena, finding->tenant);
}

// One sentence on what is wrong.
static const char *sentence(struct arena *arena, const struct verify_finding *finding)
{
    int64_t missing = finding->last_number - finding->number + 1;

    switch (finding->kind) {
    case VERIFY_SOUND:
        return "it is as it was stored";
    case VERIFY_CHANGED:
        return arena_printf(arena, "row %" PRId64 " is not what was stored", finding->number);
    case VERIFY_DELETED:
        return arena_printf(
            arena, "%" PRId64 " row(s) before this one are gone (%" PRId64 " to %" PRId64 ")",
            missing, finding->number, finding->last_number);
    case VERIFY_INSERTED:
        return "this row was never stored by the rail";
    case VERIFY_REORDERED:
        return "rows do not stand in the order in which they were stored";
    case VERIFY_TRUNCATED:
        return arena_printf(
            arena, "%" PRId64 " row(s) behind this one are gone (%" PRId64 " to %" PRId64 ")",
            missing, finding->number, finding->last_number);
    case VERIFY_REWRITTEN:
        return arena_printf(arena, "row %" PRId64 " is not the one that a head was made of",
                            finding->number);
    case VERIFY_NO_KEY:
        return arena_printf(arena, "it is sealed with key %d, which the key file does not have",
                            finding->key);
    case VERIFY_KINDS:
        break;
    }
    return "";
}

bool report_text(const struct verify *verify, uint64_t forged, double seconds)
{
    struct totals totals = sum(verify);
    struct arena *arena = arena_create(4096);
    const struct verify_finding *finding;

    for (size_t i = 0; (finding = verify_finding(verify, i)) != NULL; i++) {
        if (finding->kind == VERIFY_SOUND)
            continue;
        arena_reset(arena);
        (void)printf("TAMPERED tenant %.*s, shard %" PRId64 ": %s at epoch %" PRId64
                     ", sequence %" PRId64 ", part %" PRId64 ": %s\n",
                     TEXT_ARGS(name_of(arena, finding)), finding->shard,
                     verify_kind_text(finding->kind), finding->epoch, finding->seq, finding->part,
                     sentence(arena, finding));
    }
    arena_destroy(arena);
    if (forged > 0)
        (void)printf("TAMPERED heads: %" PRIu64 " without a valid signature\n", forged);
    if (totals.unsealed > 0)
        (void)printf("note: %" PRIu64 " row(s) are from before rows were sealed; nothing is known "
                     "of them\n",
                     totals.unsealed);
    (void)printf("%s: %" PRIu64 " row(s) of %" PRIu64 " chain(s) in %.1f s, %" PRIu64
                 " chain(s) not as stored\n",
                 totals.bad == 0 && forged == 0 ? "OK" : "TAMPERED", totals.rows, totals.chains,
                 seconds, totals.bad);
    return totals.bad == 0 && forged == 0;
}

static void put_integer(struct json_writer *writer, const char *name, int64_t value)
{
    json_key(writer, name);
    json_integer(writer, value);
}

static void put_finding(struct json_writer *writer, struct arena *arena,
                        const struct verify_finding *finding)
{
    json_object_open(writer);
    json_key(writer, "tenant");
    json_text(writer, finding->tenant);
    put_integer(writer, "shard", finding->shard);
    json_key(writer, "result");
    json_string(writer, verify_kind_text(finding->kind));
    put_integer(writer, "epoch", finding->epoch);
    put_integer(writer, "seq", finding->seq);
    put_integer(writer, "part", finding->part);
    put_integer(writer, "number", finding->number);
    put_integer(writer, "rows", finding->rows);
    json_key(writer, "detail");
    json_string(writer, sentence(arena, finding));
    json_object_close(writer);
}

bool report_json(const struct verify *verify, uint64_t forged, double seconds)
{
    struct totals totals = sum(verify);
    struct arena *arena = arena_create(4096);
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    const struct verify_finding *finding;

    json_object_open(writer);
    json_key(writer, "ok");
    json_bool(writer, totals.bad == 0 && forged == 0);
    put_integer(writer, "rows", (int64_t)totals.rows);
    put_integer(writer, "chains", (int64_t)totals.chains);
    put_integer(writer, "unsealed", (int64_t)totals.unsealed);
    put_integer(writer, "forged_heads", (int64_t)forged);
    put_integer(writer, "milliseconds", (int64_t)(seconds * 1000));
    json_key(writer, "tampered");
    json_array_open(writer);
    for (size_t i = 0; (finding = verify_finding(verify, i)) != NULL; i++) {
        if (finding->kind != VERIFY_SOUND)
            put_finding(writer, arena, finding);
    }
    json_array_close(writer);
    json_object_close(writer);
    json_writer_destroy(writer);
    (void)printf("%.*s\n", (int)out.len, out.data);
    buf_fini(&out);
    arena_destroy(arena);
    return totals.bad == 0 && forged == 0;
}
