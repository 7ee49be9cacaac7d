// An asker is recalling (what an earlier try was given), ready (to be tried), trying (a claim is on
// its way) or waiting (nothing fits).
//
//   recalling -> ready  one with an Idempotency-Key, whose first try was given nothing
//   recalling -> trying likewise, which had chosen a packet
//   recalling -> answered likewise, which was given one
//   ready -> trying     when its tenant has its turn and fewer than TRYING_MAX are trying
//   trying -> answered  the claim was made
//   trying -> ready     somebody else was faster: the next best
//   ready -> ready      it has looked at many packets and not at all: the others have their turn
//   ready -> waiting    nothing fits, and it may wait
//   waiting -> ready    something that fits has come, and is kept for it
//   waiting -> answered its time is over, or its requester withdraws
//
// No packet is missed: whatever comes on offer, also again, is given to somebody who waits, or told
// to those who are in the middle of looking. One who begins to look later finds it.
#include "workers/claim/next.h"

#include "broker/base/digest.h"
#include "broker/base/metrics.h"
#include "broker/message/issues.h"
#include "broker/rail/change.h"
#include "broker/rail/commands.h"
#include "broker/rail/given.h"
#include "workers/claim/places.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define TRYING_MAX 256

// Packets looked at that do not fit: by one asker in its turn, and by all in a turn of the loop,
// which is about a millisecond.
#define ASKER_STEPS 1000
#define LOOP_STEPS 5000

struct queue;

struct asker {
    struct asker *prev; // in one of its tenant's lists
    struct asker *next;
    struct next *owner;
    struct queue *queue;
    struct command *command;
    struct wish wish;
    uv_timer_t timer;
    int64_t until_ns;
    bool looking; // the search has begun
    struct search search;
    struct change_spec spec;
    struct stored claimed; // while that is noted
    struct given given;    // under its idempotency key
    Text digest;           // of what it asks for, likewise
    bool chosen;           // packet_id is what it is to try next
    bool remembered;       // likewise, and it is what an earlier try had chosen
    bool has_waited;       // so its requester may have gone
    char packet_id[UUID_TEXT_BYTES];
    UT_hash_handle by_reply; // of those who wait, by the subject of their answer
};

// A tenant's askers.
struct queue {
    UT_hash_handle hh;
    struct queue *prev; // in the ring of those that have somebody ready
    struct queue *next;
    struct asker *ready;
    struct asker *waiting; // the first has waited longest
    size_t askers;
    size_t looking; // of those who are ready
    char tenant[TOKEN_MAX + 1];
};

struct next {
    uv_loop_t *loop;
    uv_idle_t idle;       // while those who look have more to look at
    struct places places; // of those who wait
    struct store *store;
    struct offers *offers;
    struct give_back *give_back;
    struct queue *queues;
    struct queue *ring;
    struct asker *replies; // those who wait
    size_t trying;
    bool begun; // every packet there was at the start is known
    bool draining;
    bool pumping;
    struct metric *waiting_metric;
    struct metric *outcome_metric;
};

static void pump(struct next *next);

// --- queues --------------------------------------------------------------------------------------

static struct queue *queue_of(struct next *next, const char *tenant)
{
    struct queue *queue = NULL;

    HASH_FIND_STR(next->queues, tenant, queue);
    if (queue != NULL)
        return queue;
    queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        abort();
    (void)snprintf(queue->tenant, sizeof queue->tenant, "%s", tenant);
    HASH_ADD_STR(next->queues, tenant, queue);
    return queue;
}

static void leave_queue(struct queue *queue, struct next *next)
{
    if (--queue->askers > 0)
        return;
    HASH_DEL(next->queues, queue);
    free(queue);
}

// first: it was tried before, and nobody shall overtake it.
static void make_ready(struct asker *asker, bool first)
{
    struct queue *queue = asker->queue;

    queue->looking += asker->looking ? 1 : 0;
    if (queue->ready == NULL)
        DL_APPEND(asker->owner->ring, queue);
    if (first)
        DL_PREPEND(queue->ready, asker);
    else
        DL_APPEND(queue->ready, asker);
}

static struct asker *take_turn(struct next *next)
{
    struct queue *queue = next->ring;
    struct asker *asker;

    if (queue == NULL)
        return NULL;
    asker = queue->ready;
    queue->looking -= asker->looking ? 1 : 0;
    DL_DELETE(queue->ready, asker);
    DL_DELETE(next->ring, queue);
    if (queue->ready != NULL)
        DL_APPEND(next->ring, queue);
    return asker;
}

// --- answers -------------------------------------------------------------------------------------

// The command, and the asker with it, live until the handle of the timer is closed.
static void on_closed(uv_handle_t *handle)
{
    struct asker *asker = handle->data;

    free(asker);
}

// Gives the command back to be answered; the asker is gone for everybody else.
static struct command *end(struct asker *asker, const char *outcome)
{
    struct command *command = asker->command;

    metric_add(asker->owner->outcome_metric, outcome, 1);
    leave_queue(asker->queue, asker->owner);
    uv_close((uv_handle_t *)&asker->timer, on_closed);
    return command;
}

static void refuse(struct asker *asker, enum problem_code code, const char *text)
{
    struct arena *arena = asker->command->arena;
    struct problem problem;

    (void)problem_set(&problem, arena, code, "%s", text);
    problem.retry_after_seconds = code == PROBLEM_UNAVAILABLE ? 1 : 0;
    command_refuse(end(asker, "failed"), &problem);
}

static void start_waiting(struct asker *asker)
{
    struct next *next = asker->owner;
    const char *reply = command_reply_subject(asker->command);

    asker->has_waited = true;
    places_take(&next->places, asker->command->tenant, asker->command->key_id);
    metric_set(next->waiting_metric, "", (double)next->places.taken);
    DL_APPEND(asker->queue->waiting, asker);
    HASH_ADD_KEYPTR(by_reply, next->replies, reply, strlen(reply), asker);
}

static void stop_waiting(struct asker *asker)
{
    struct next *next = asker->owner;

    DL_DELETE(asker->queue->waiting, asker);
    HASH_DELETE(by_reply, next->replies, asker);
    places_free(&next->places, asker->command->tenant, asker->command->key_id);
    metric_set(next->waiting_metric, "", (double)next->places.taken);
    uv_timer_stop(&asker->timer);
}

static void on_time_over(uv_timer_t *timer)
{
    struct asker *asker = timer->data;

    stop_waiting(asker);
    command_reply_nothing(end(asker, "nothing"));
}

static void wait_or_end(struct asker *asker)
{
    struct next *next = asker->owner;
    int64_t left_ns = asker->until_ns - clock_now_ns();

    if (left_ns <= 0 || next->draining) {
        command_reply_nothing(end(asker, "nothing"));
        return;
    }
    if (!places_have_room(&next->places, asker->command->tenant, asker->command->key_id)) {
        refuse(asker, PROBLEM_UNAVAILABLE, "Too many agents wait for a packet");
        return;
    }
    start_waiting(asker);
    uv_timer_start(&asker->timer, on_time_over, (uint64_t)(left_ns / 1000000 + 1), 0);
}

// --- claiming ------------------------------------------------------------------------------------

// Somebody else has it, or it is not open any more; the feed will say what it is now.
static bool is_gone(enum problem_code code)
{
    switch (code) {
    case PROBLEM_ALREADY_CLAIMED:
    case PROBLEM_EXPIRED:
    case PROBLEM_AWAITING_HUMAN:
    case PROBLEM_ILLEGAL_TRANSITION:
    case PROBLEM_NOT_ADDRESSED:
    case PROBLEM_NOT_FOUND:
    case PROBLEM_ARCHIVED:
        return true;
    default:
        return false;
    }
}

static void recall(struct asker *asker);

// Somebody else may have been waiting for it.
static void put_back(struct asker *asker)
{
    struct next *next = asker->owner;
    const char *tenant = asker->queue->tenant;
    struct offer *offer = offers_put_back(next->offers, tenant, asker->packet_id);

    asker->chosen = false;
    if (offer != NULL)
        next_wake(next, tenant, offer);
}

// Noted or not: as long as the packet remembers the claim, a repeat finds it there as well.
static void on_claim_noted(void *ctx, enum rc rc, uint64_t note)
{
    struct asker *asker = ctx;
    struct store *store = asker->owner->store;
    const struct stored stored = asker->claimed;

    (void)rc;
    (void)note;
    command_reply_changed(end(asker, "claimed"), store, &stored);
}

static void answer(struct asker *asker, const struct stored *stored)
{
    struct store *store = asker->owner->store;

    // Under an Idempotency-Key it is kept for the repeat.
    if (asker->command->idempotency_key == NULL) {
        if (asker->has_waited)
            give_back_watch(asker->owner->give_back, asker->command, asker->wish.agent_id, stored);
        command_reply_changed(end(asker, "claimed"), store, stored);
        return;
    }
    asker->claimed = *stored;
    asker->given.packet_id = asker->packet_id;
    asker->given.sequence = stored->sequence;
    given_note(store, asker->command, asker->digest, &asker->given, on_claim_noted, asker);
}

static void on_claimed(void *ctx, enum rc rc, const struct stored *stored,
                       const struct problem *problem)
{
    struct asker *asker = ctx;
    struct next *next = asker->owner;

    next->trying--;
    if (rc == RC_OK) {
        (void)offers_note(next->offers, asker->queue->tenant, asker->packet_id, stored);
        answer(asker, stored);
    } else if (is_gone(problem->code)) {
        metric_add(next->outcome_metric, "lost", 1);
        asker->chosen = false;
        asker->remembered = false;
        make_ready(asker, true);
    } else {
        if (!asker->remembered)
            put_back(asker);
        command_refuse(end(asker, "failed"), problem);
    }
    pump(next);
}

static const ProtobufCMessage *claim_of(const struct command *command)
{
    const Hr__ClaimNext *wanted = (const Hr__ClaimNext *)command->request;
    Hr__ClaimPacket *claim = wire_new(command->arena, &hr__claim_packet__descriptor);

    claim->has_agent_id = true;
    claim->agent_id = wanted->agent_id;
    claim->has_agent_name = true;
    claim->agent_name = wanted->agent_name;
    claim->has_framework = wanted->has_framework;
    claim->framework = wanted->framework;
    claim->has_lease_seconds = wanted->has_lease_seconds;
    claim->lease_seconds = wanted->lease_seconds;
    return &claim->base;
}

static void claim(struct asker *asker)
{
    struct command *command = asker->command;

    asker->spec = (struct change_spec){
        .tenant = command->tenant,
        .key_id = command->key_id,
        .verb = "packet.claim-next",
        .packet_id = asker->packet_id,
        .idempotency_key = command->idempotency_key,
        .decide = decide_claim,
        .request = claim_of(command),
    };
    change_run(asker->owner->store, &asker->spec, command->arena, on_claimed, asker);
}

static void on_choice_noted(void *ctx, enum rc rc, uint64_t note)
{
    struct asker *asker = ctx;
    struct next *next = asker->owner;

    if (rc == RC_OK) {
        asker->given.note = note;
        claim(asker);
        return;
    }
    next->trying--;
    put_back(asker);
    if (rc == RC_CONFLICT)
        recall(asker);
    else
        command_fail(end(asker, "failed"), rc);
    pump(next);
}

static void try_chosen(struct next *next, struct asker *asker)
{
    next->trying++;
    if (asker->command->idempotency_key == NULL || asker->remembered) {
        claim(asker);
        return;
    }
    asker->given.packet_id = asker->packet_id;
    asker->given.sequence = 0;
    given_note(next->store, asker->command, asker->digest, &asker->given, on_choice_noted, asker);
}

static enum look look(struct asker *asker, size_t *steps)
{
    struct next *next = asker->owner;
    size_t turn = *steps < ASKER_STEPS ? *steps : ASKER_STEPS;
    size_t left = turn;
    enum look found;

    if (!asker->looking)
        offers_search(next->offers, &asker->wish, &asker->search);
    found = offers_take(next->offers, &asker->wish, &asker->search, &left, asker->packet_id);
    *steps -= turn - left;
    asker->looking = found == LOOK_UNFINISHED;
    asker->chosen = found == LOOK_FOUND;
    return found;
}

static void try_one(struct next *next, struct asker *asker, size_t *steps)
{
    if (asker->chosen || look(asker, steps) == LOOK_FOUND)
        try_chosen(next, asker);
    else if (asker->looking)
        make_ready(asker, false);
    else
        wait_or_end(asker);
}

static void on_idle(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    pump(idle->data);
}

// A claim may end within the call that starts it, and calls this again: once is enough. What is too
// much for a turn of the loop is left for the next.
static void pump(struct next *next)
{
    size_t steps = LOOP_STEPS;
    struct asker *asker;

    if (!next->begun || next->pumping || uv_is_active((uv_handle_t *)&next->idle))
        return;
    next->pumping = true;
    while (next->trying < TRYING_MAX && steps > 0 && (asker = take_turn(next)) != NULL)
        try_one(next, asker, &steps);
    next->pumping = false;
    if (steps == 0)
        uv_idle_start(&next->idle, on_idle);
}

// --- repeats -------------------------------------------------------------------------------------

static void on_first_answer(void *ctx, enum rc rc, const struct stored *stored)
{
    struct asker *asker = ctx;
    struct store *store = asker->owner->store;

    if (rc == RC_OK)
        command_reply_changed(end(asker, "repeated"), store, stored);
    else if (rc == RC_NOT_FOUND)
        refuse(asker, PROBLEM_ARCHIVED, "The packet this was given has left the stream");
    else
        command_fail(end(asker, "failed"), rc);
}

static void on_recalled(void *ctx, enum rc rc, const struct given *given)
{
    struct asker *asker = ctx;
    struct next *next = asker->owner;

    asker->given = *given;
    if (rc != RC_OK) {
        command_fail(end(asker, "failed"), rc);
    } else if (given->reused) {
        refuse(asker, PROBLEM_KEY_REUSED, "This Idempotency-Key was used with a different request");
    } else if (given->sequence != 0) {
        store_load_at(next->store, asker->command->tenant, given->packet_id, given->sequence,
                      asker->command->arena, on_first_answer, asker);
    } else {
        asker->remembered = given->packet_id != NULL;
        asker->chosen = asker->remembered;
        if (asker->remembered)
            (void)snprintf(asker->packet_id, sizeof asker->packet_id, "%s", given->packet_id);
        make_ready(asker, false);
        pump(next);
    }
}

static void recall(struct asker *asker)
{
    given_load(asker->owner->store, asker->command, asker->digest, on_recalled, asker);
}

// How long a try waits is not part of what it asks for.
static Text digest_of_request(const struct command *command)
{
    Hr__ClaimNext request = *(const Hr__ClaimNext *)command->request;
    uint8_t digest[DIGEST_BYTES];
    Text bytes;

    request.has_wait_seconds = false;
    bytes = wire_pack(command->arena, &request.base);
    digest_of(digest, bytes.data, bytes.len);
    return text_copy(command->arena, digest, sizeof digest);
}

// What was approved is one packet's, and which one it will be nobody knows.
static bool refuse_subject(struct command *command)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;

    if (!((const Hr__ClaimNext *)command->request)->has_subject_digest)
        return false;
    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of("subject_digest"));
    (void)issues_add(&issues, &path, "value_error",
                     "Value error, claim-next takes no subject_digest: claim the packet by its id");
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
    return true;
}

void next_claim(struct next *next, struct command *command, int64_t aging_us)
{
    const Hr__ClaimNext *wanted = (const Hr__ClaimNext *)command->request;
    struct asker *asker;

    if (command_refuse_if_fenced(command) || refuse_subject(command))
        return;
    asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        abort();
    asker->owner = next;
    asker->command = command;
    asker->wish = (struct wish){
        .tenant = command->tenant,
        .agent_id = wanted->agent_id,
        .tags = wanted->tags,
        .tag_count = wanted->n_tags,
        .any = wanted->scope == HR__CLAIM_SCOPE__CLAIM_SCOPE_ANY,
        .aging_us = aging_us,
    };
    asker->until_ns =
        clock_now_ns() + (wanted->has_wait_seconds ? wanted->wait_seconds : 0) * 1000000000LL;
    asker->queue = queue_of(next, command->tenant);
    asker->queue->askers++;
    uv_timer_init(next->loop, &asker->timer);
    asker->timer.data = asker;
    if (command->idempotency_key != NULL) {
        asker->digest = digest_of_request(command);
        recall(asker);
        return;
    }
    make_ready(asker, false);
    pump(next);
}

static struct asker *find_waiting(const struct queue *queue, const struct offer *offer)
{
    struct asker *asker;

    DL_FOREACH(queue->waiting, asker)
    {
        if (offer_fits(offer, &asker->wish))
            return asker;
    }
    return NULL;
}

static void tell_looking(struct queue *queue, const struct offer *offer)
{
    struct asker *asker;

    if (queue->looking == 0)
        return;
    DL_FOREACH(queue->ready, asker)
    {
        if (asker->looking)
            search_note(&asker->search, &asker->wish, offer);
    }
}

void next_wake(struct next *next, const char *tenant, struct offer *offer)
{
    struct queue *queue = NULL;
    struct asker *asker;

    HASH_FIND_STR(next->queues, tenant, queue);
    if (queue == NULL)
        return;
    asker = find_waiting(queue, offer);
    if (asker == NULL) {
        tell_looking(queue, offer);
        return;
    }
    // Nothing fitted so far, so this is the best.
    offers_take_this(next->offers, offer, asker->packet_id);
    asker->chosen = true;
    stop_waiting(asker);
    make_ready(asker, true);
    pump(next);
}

void next_withdraw(struct next *next, const char *tenant, const char *key_id, const char *reply,
                   size_t reply_len)
{
    struct asker *asker = NULL;

    HASH_FIND(by_reply, next->replies, reply, reply_len, asker);
    if (asker == NULL || strcmp(asker->command->tenant, tenant) != 0 ||
        strcmp(asker->command->key_id, key_id) != 0)
        return;
    stop_waiting(asker);
    command_reply_nothing(end(asker, "withdrawn"));
}

void next_begin(struct next *next)
{
    next->begun = true;
    pump(next);
}

void next_drain(struct next *next)
{
    struct queue *queue;
    struct queue *other;

    next->draining = true;
    next->begun = true;
    HASH_ITER(hh, next->queues, queue, other)
    {
        struct asker *asker;
        struct asker *following;

        DL_FOREACH_SAFE(queue->waiting, asker, following)
        {
            stop_waiting(asker);
            make_ready(asker, false);
        }
    }
    pump(next);
}

// --- life ----------------------------------------------------------------------------------------

struct next *next_open(uv_loop_t *loop, struct store *store, struct offers *offers,
                       struct give_back *give_back, size_t waiting_max)
{
    struct next *next = calloc(1, sizeof *next);

    if (next == NULL)
        abort();
    next->loop = loop;
    next->store = store;
    next->offers = offers;
    next->give_back = give_back;
    next->places.max = waiting_max;
    uv_idle_init(loop, &next->idle);
    next->idle.data = next;
    next->waiting_metric = metric_create(METRIC_GAUGE, "handoffrail_claim_next_waiting",
                                         "Agents that wait for a packet", "", NULL, 0);
    next->outcome_metric = metric_create(
        METRIC_COUNTER, "handoffrail_claim_next_total",
        "What became of claim-next: claimed, nothing, failed, withdrawn; lost: another try",
        "outcome", NULL, 0);
    return next;
}

static void on_idle_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void next_close(struct next *next)
{
    if (next != NULL)
        uv_close((uv_handle_t *)&next->idle, on_idle_closed);
}
