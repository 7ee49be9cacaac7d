// What the worst legal input of every command costs, from its bytes to the bytes of its answer.
// Four times the input must not cost more than in proportion: memory is counted exactly, time
// generously.
//
// A command's work runs on the worker's only thread, so one that grows with the square of its input
// stops the worker for everybody.
#include "broker/message/check.h"
#include "broker/message/json_write.h"
#include "broker/message/transcript.h"
#include "broker/packet/assemble.h"
#include "broker/packet/carry.h"
#include "broker/packet/chain.h"
#include "broker/packet/decide.h"
#include "broker/packet/electorate.h"

#include "tests/unit/messages.h"

#include <stdio.h>
#include <time.h>

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"
#define NOW 1795210145000000
#define SMALL 1250 // entries; four times as many, stored and sent, are as many as a list may have
#define FACTOR 4
#define TRIES 5

// Writes the members of a body: n entries in each list, whose ids begin with mark.
typedef void (*put_fn)(struct buf *out, size_t n, char mark);

enum {
    CHAINED = 1, // stored is the parent
    CLAIMED = 2, // stored is held by agent t
    REFUSED = 4,
};

struct worst {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    put_fn stored; // of the packet that the command meets; NULL: it makes one
    put_fn sent;
    decide_fn decide;
    unsigned flags;
};

struct cost {
    size_t bytes;
    int64_t ns;
};

static const char head[] = "\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                           "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"}}";

// --- bodies --------------------------------------------------------------------------------------

// An entry is its id between two texts.
static void put_list(struct buf *out, const char *name, const char *before, const char *after,
                     size_t n, char mark)
{
    buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%s%c%06zu%s", i > 0 ? "," : "", before, mark, i, after);
    buf_puts(out, "]");
}

#define DECISION "{\"id\":\"", "\",\"decision\":\"d\",\"rationale\":\"r\"}"
#define PENDING "{\"id\":\"", "\",\"description\":\"d\",\"assignee\":\"a\"}"
#define DEPENDENCY "{\"id\":\"", "\",\"type\":\"data\",\"description\":\"d\"}"
#define ENTRY "{\"role\":\"user\",\"content\":\"", "\",\"metadata\":{}}"
#define ARTIFACT "{\"key\":\"", "\",\"value\":{}}"

static void put_context(struct buf *out, size_t n, char mark)
{
    buf_puts(out, ",\"context\":{\"summary\":\"x\"");
    put_list(out, "conversation_state", ENTRY, n, mark);
    put_list(out, "artifacts", ARTIFACT, n, mark);
    buf_puts(out, ",\"custom\":{");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s\"%c%06zu\":%zu", i > 0 ? "," : "", mark, i, i);
    buf_puts(out, "}}");
}

static void put_everything(struct buf *out, size_t n, char mark)
{
    buf_puts(out, head);
    put_context(out, n / 2, mark);
    put_list(out, "decisions", DECISION, n, mark);
    put_list(out, "dependencies", DEPENDENCY, n, mark);
    buf_puts(out, ",\"actions\":{\"failed\":[]");
    put_list(out, "pending", PENDING, n, mark);
    put_list(out, "completed", "{\"id\":\"x", "\",\"description\":\"d\",\"result\":\"r\"}", n,
             mark);
    buf_puts(out, "}");
}

static void put_small(struct buf *out, size_t n, char mark)
{
    (void)n;
    (void)mark;
    buf_puts(out, head);
    buf_puts(out, ",\"context\":{\"summary\":\"x\"}");
}

static void put_one_decision(struct buf *out, size_t n, char mark)
{
    put_small(out, n, mark);
    put_list(out, "decisions", "{\"id\":\"",
             "\",\"decision\":\"d\",\"rationale\":\"r\",\"alternatives\":["
             "\"a\"]}",
             n, mark);
}

static void put_nothings(struct buf *out, size_t n, char mark)
{
    put_small(out, n, mark);
    buf_puts(out, ",\"decisions\":[{}");
    for (size_t i = 1; i < n * 20; i++)
        buf_puts(out, ",{}");
    buf_puts(out, "]");
}

static void put_checkpoint(struct buf *out, size_t n, char mark)
{
    put_small(out, n, mark);
    buf_puts(
        out,
        ",\"hitl\":{\"reason\":\"r\",\"approvers\":[\"k\"],\"quorum\":1,\"approve_options\":[\"");
    buf_printf(out, "%c000000\"]", mark);
    put_list(out, "options", "\"", "\"", n < 1000 ? n : 1000, mark);
    buf_puts(out, "}");
}

static void put_answer(struct buf *out, size_t n, char mark)
{
    (void)n;
    buf_printf(out, "\"response\":\"%c000000\",\"responded_by\":\"ann\"", mark);
}

static void put_wrong_answer(struct buf *out, size_t n, char mark)
{
    (void)n;
    (void)mark;
    buf_puts(out, "\"response\":\"none of them\",\"responded_by\":\"ann\"");
}

static void put_decisions(struct buf *out, size_t n, char mark)
{
    buf_puts(out, "\"status\":\"failed\"");
    put_list(out, "decisions", DECISION, n, (char)(mark + 1));
}

static void put_same_decisions(struct buf *out, size_t n, char mark)
{
    buf_puts(out, "\"status\":\"failed\"");
    put_list(out, "decisions", DECISION, n, mark);
}

static void put_new_context(struct buf *out, size_t n, char mark)
{
    buf_puts(out, "\"status\":\"failed\"");
    put_context(out, n, mark);
}

#define TOOL "{\"role\":\"tool\",\"content\":[{\"text\":\"", "\"}],\"metadata\":{\"a\":1},\"b\":2}"

static void put_unknown(struct buf *out, size_t n, char mark)
{
    for (size_t i = 0; i < n && i < 500; i++)
        buf_printf(out, ",\"%c%06zu\":%zu", mark, i, i);
}

// In every entry, and many in one object.
static void put_transcript(struct buf *out, size_t n, char mark)
{
    buf_puts(out, head);
    buf_puts(out, ",\"context\":{\"summary\":\"x\"");
    put_list(out, "conversation_state", TOOL, n, mark);
    put_unknown(out, n, mark);
    buf_puts(out, "}");
    put_unknown(out, n, mark);
}

static void put_new_unknown(struct buf *out, size_t n, char mark)
{
    buf_puts(out, "\"status\":\"failed\"");
    put_unknown(out, n, mark);
    put_unknown(out, n, (char)(mark + 1));
}

static void put_agent(struct buf *out, size_t n, char mark)
{
    (void)n;
    (void)mark;
    buf_puts(out, "\"agent_id\":\"t\",\"agent_name\":\"T\"");
}

static void put_lease(struct buf *out, size_t n, char mark)
{
    (void)n;
    (void)mark;
    buf_puts(out, "\"agent_id\":\"t\",\"lease_seconds\":5");
}

static void put_nothing(struct buf *out, size_t n, char mark)
{
    (void)out;
    (void)n;
    (void)mark;
}

// --- a command -----------------------------------------------------------------------------------

static bool is_nobody(const void *ctx, const char *key_id, Text group)
{
    (void)ctx;
    (void)key_id;
    (void)group;
    return false;
}

static size_t count_nobody(const void *ctx, Text group)
{
    (void)ctx;
    (void)group;
    return 0;
}

static const struct electorate electorate = {NULL, is_nobody, count_nobody};

static const char *text_by(put_fn put, size_t n, char mark, struct arena *arena)
{
    struct buf out = {0};
    const char *text;

    buf_puts(&out, "{");
    put(&out, n, mark);
    buf_puts(&out, "}");
    text = arena_printf(arena, "%s", buf_text(&out));
    buf_fini(&out);
    return text;
}

// As it goes from the gateway to a worker: JSON, checked, protobuf, checked again.
static ProtobufCMessage *receive(const struct worst *worst, const char *text, struct arena *arena)
{
    struct issues issues = {.arena = arena};
    ProtobufCMessage *message;
    const char *refusal;
    Text bytes;

    message = message_read(arena, worst->request, text, strlen(text), &refusal);
    cr_assert_eq(message == NULL, (worst->flags & REFUSED) != 0 && worst->decide == NULL, "%s: %s",
                 worst->name, refusal);
    if (message == NULL)
        return NULL;
    bytes = wire_pack(arena, message);
    cr_assert_eq(wire_unpack_request(&message, arena, worst->request, bytes.data, bytes.len), RC_OK,
                 "%s", worst->name);
    message_check(message, "body", false, &issues);
    cr_assert_eq(issues.count, 0);
    return message;
}

static void answer(const struct worst *worst, struct decision *d, const Hr__Packet *parent)
{
    const struct layer layer = {parent, CARRY_ALL};

    if ((worst->flags & CHAINED) != 0)
        cr_assert_eq(assemble(d->packet, &layer, 1, d->arena), RC_OK);
    (void)wire_pack(d->arena, &d->packet->base);
    (void)json_of_answer(d->arena, &d->packet->base, NULL);
}

static Hr__Packet *make_packet(const struct worst *worst, size_t n, struct arena *arena)
{
    struct decision d = {.arena = arena, .packet_id = ID, .key_id = "asker", .now_us = NOW};

    if (worst->stored == NULL)
        return NULL;
    cr_assert_eq(decide_create(&d, message_of(arena, &hr__create_packet__descriptor,
                                              text_by(worst->stored, n, 'a', arena))),
                 RC_OK);
    if ((worst->flags & CLAIMED) != 0)
        cr_assert_eq(decide_claim(&d, message_of(arena, &hr__claim_packet__descriptor,
                                                 "{\"agent_id\":\"t\",\"agent_name\":\"T\"}")),
                     RC_OK);
    return d.packet;
}

static struct cost run_once(const struct worst *worst, size_t n)
{
    struct arena *memory = arena_create(1 << 16);
    struct arena *arena = arena_create(1 << 16);
    Hr__Packet *stored = make_packet(worst, n, memory);
    const char *text = text_by(worst->sent, n, 'a', memory);
    const struct chain_parent parent = {
        .packet_id = ID,
        .packet = stored,
        .event_id = text_of(ID),
        .sequence = 1,
        .limits = {64, 2, 3, 8},
        .max_context_bytes = 1 << 20
    };
    struct decision d = {.arena = arena,
                         .packet_id = ID,
                         .key_id = stored == NULL ? "asker" : "k",
                         .now_us = NOW,
                         .ctx = (worst->flags & CHAINED) != 0 ? (const void *)&parent : &electorate,
                         .packet = (worst->flags & CHAINED) != 0 ? NULL : stored};
    struct timespec from;
    struct timespec to;
    ProtobufCMessage *request;
    struct cost cost;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    request = receive(worst, text, arena);
    if (request != NULL) {
        enum rc rc = worst->decide(&d, request);

        cr_assert_eq(rc, (worst->flags & REFUSED) != 0 ? RC_REFUSED : RC_OK, "%s", worst->name);
        if (rc == RC_OK)
            answer(worst, &d, stored);
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    cost.ns = (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
    cost.bytes = arena_used(arena);
    arena_destroy(arena);
    arena_destroy(memory);
    return cost;
}

static struct cost run(const struct worst *worst, size_t n)
{
    struct cost least = run_once(worst, n);

    for (int i = 1; i < TRIES; i++) {
        struct cost cost = run_once(worst, n);

        if (cost.ns < least.ns)
            least = cost;
    }
    return least;
}

#define CREATE &hr__create_packet__descriptor
#define UPDATE &hr__update_packet__descriptor
#define CLAIM &hr__claim_packet__descriptor
#define HEARTBEAT &hr__heartbeat_claim__descriptor
#define RELEASE &hr__release_claim__descriptor
#define DECLINE &hr__decline_packet__descriptor
#define DELETE &hr__packet_ref__descriptor
#define RESPOND &hr__respond_packet__descriptor
#define CHAIN &hr__chain_packet__descriptor

static const struct worst commands[] = {
    {"create",             CREATE,    NULL,           put_everything,     decide_create,       0      },
    {"create, decisions",  CREATE,    NULL,           put_one_decision,   decide_create,       0      },
    {"create, nothings",   CREATE,    NULL,           put_nothings,       NULL,                REFUSED},
    {"create, checkpoint", CREATE,    NULL,           put_checkpoint,     decide_create,       0      },
    {"create of a child",  CREATE,    put_everything, put_everything,     decide_create_child, CHAINED},
    {"update, new ids",    UPDATE,    put_everything, put_decisions,      decide_update,       0      },
    {"update, same ids",   UPDATE,    put_everything, put_same_decisions, decide_update,       0      },
    {"update, context",    UPDATE,    put_everything, put_new_context,    decide_update,       0      },
    {"complete",           UPDATE,    put_everything, put_nothing,        decide_complete,     CLAIMED},
    {"claim",              CLAIM,     put_everything, put_agent,          decide_claim,        0      },
    {"heartbeat",          HEARTBEAT, put_everything, put_lease,          decide_heartbeat,    CLAIMED},
    {"release",            RELEASE,   put_everything, put_agent,          decide_release,      CLAIMED},
    {"decline",            DECLINE,   put_everything, put_agent,          decide_decline,      0      },
    {"delete",             DELETE,    put_everything, put_nothing,        decide_delete,       0      },
    {"respond",            RESPOND,   put_checkpoint, put_answer,         decide_respond,      0      },
    {"respond, refused",   RESPOND,   put_checkpoint, put_wrong_answer,   decide_respond,      REFUSED},
    {"create, transcript", CREATE,    NULL,           put_transcript,     decide_create,       0      },
    {"update, unknown",    UPDATE,    put_transcript, put_new_unknown,    decide_update,       0      },
    {"chain, transcript",  CHAIN,     put_transcript, put_transcript,     decide_chain,        CHAINED},
    {"chain",              CHAIN,     put_everything, put_everything,     decide_chain,        CHAINED},
};

Test(worst_input, costs_in_proportion_to_its_size)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct cost small = run(&commands[i], SMALL);
        struct cost large = run(&commands[i], SMALL * FACTOR);

        printf("%-32s %8.2f ms %9zu bytes   %8.2f ms %9zu bytes\n", commands[i].name,
               (double)small.ns / 1e6, small.bytes, (double)large.ns / 1e6, large.bytes);
        // Lists grow by doubling, so twice is within the bounds of what is in proportion.
        cr_expect_leq(large.bytes, small.bytes * FACTOR * 2, "%s: memory", commands[i].name);
        // What takes less than a few milliseconds is measured too coarsely to be compared.
        cr_expect(large.ns < 20000000 || large.ns < small.ns * FACTOR * 2,
                  "%s: %lld ns, then %lld ns", commands[i].name, (long long)small.ns,
                  (long long)large.ns);
    }
}

// The memory that the bytes of a request may take, however they are made up.
Test(worst_input, of_empty_messages_is_refused_in_bounded_memory)
{
    struct arena *arena = arena_create(1 << 16);
    size_t len = 8 * 1000 * 1000;
    uint8_t *bytes = malloc(len);
    ProtobufCMessage *message;

    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i += 2) { // decisions = 4, without a byte in them
        bytes[i] = 4 << 3 | 2;
        bytes[i + 1] = 0;
    }
    cr_assert_eq(wire_unpack_request(&message, arena, &hr__create_packet__descriptor, bytes, len),
                 RC_TOO_LARGE);
    cr_assert_leq(arena_used(arena), 10 * len);
    free(bytes);
    arena_destroy(arena);
}

// A message that comes twice is merged by the library, each time with all that came before.
Test(worst_input, of_messages_that_come_again_is_refused_in_bounded_memory)
{
    static const uint8_t again[] = {2 << 3 | 2, 4,          2 << 3 | 2,
                                    2,          2 << 3 | 2, 0}; // context with an entry
    struct arena *arena = arena_create(1 << 16);
    size_t len = sizeof again * 100000;
    uint8_t *bytes = malloc(len);
    ProtobufCMessage *message;

    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i += sizeof again)
        memcpy(bytes + i, again, sizeof again);
    cr_assert_eq(wire_unpack_request(&message, arena, &hr__create_packet__descriptor, bytes, len),
                 RC_TOO_LARGE);
    cr_assert_leq(arena_used(arena), 20 * len);
    free(bytes);
    arena_destroy(arena);
}
