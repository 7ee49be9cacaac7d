// Timers against a script of deliveries and answers: none may be lost, whatever comes first.
#include "broker/rail/timers.h"

#include "broker/base/id.h"
#include "broker/base/rc.h"
#include "broker/packet/due.h"
#include "broker/rail/alarm.h"
#include "broker/rail/change.h"
#include "tests/unit/fake_rail.h"
#include "tests/unit/messages.h"

#include <stdlib.h>
#include <string.h>

#define TENANT "acme"
#define PENDING_MAX 64
#define HOUR_US (3600 * US_PER_SECOND)

// --- the fake change engine ----------------------------------------------------------------------

struct pending {
    char packet_id[UUID_TEXT_BYTES];
    change_done_fn done;
    void *ctx;
    uint64_t made; // the record that the step made or found; 0: not looked yet
};

static struct {
    struct pending items[PENDING_MAX]; // steps that were started and not answered
    size_t count;
    size_t started;
} changes;

static struct arena *memory;
static struct timers *timers;

void change_run(struct store *store, const struct change_spec *spec, struct arena *arena,
                change_done_fn done, void *ctx)
{
    struct pending *pending = &changes.items[changes.count++];

    (void)store;
    (void)arena;
    cr_assert_leq(changes.count, PENDING_MAX);
    changes.started++;
    memcpy(pending->packet_id, spec->packet_id, UUID_TEXT_BYTES);
    pending->done = done;
    pending->ctx = ctx;
    pending->made = 0;
}

static struct pending take_pending(size_t index)
{
    struct pending pending = changes.items[index];

    cr_assert_lt(index, changes.count);
    changes.items[index] = changes.items[--changes.count];
    return pending;
}

// --- packets -------------------------------------------------------------------------------------

// A packet that somebody holds until due_us; 0: nobody holds it, so it has no deadline.
static struct stored stored_at(uint64_t sequence, int64_t due_us)
{
    struct stored stored = {.sequence = sequence};
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    packet->has_status = true;
    packet->status = due_us > 0 ? HR__STATUS__STATUS_CLAIMED : HR__STATUS__STATUS_CREATED;
    if (due_us > 0) {
        packet->claim = wire_new(memory, &hr__claim__descriptor);
        packet->claim->lease_expires_at = wire_timestamp(memory, due_us);
    }
    stored.record = wire_new(memory, &hr__packet_record__descriptor);
    stored.record->packet = packet;
    return stored;
}

static void note(const char *packet_id, uint64_t sequence, int64_t due_us)
{
    struct stored stored = stored_at(sequence, due_us);

    timers_note(timers, TENANT, packet_id, &stored);
}

static void answer(size_t index, uint64_t sequence, int64_t due_us)
{
    struct pending pending = take_pending(index);
    struct stored stored = stored_at(sequence, due_us);

    pending.done(pending.ctx, RC_OK, &stored, NULL);
}

static void refuse(size_t index, enum problem_code code)
{
    struct pending pending = take_pending(index);
    struct problem problem;

    (void)problem_set(&problem, memory, code, "refused");
    pending.done(pending.ctx, RC_REFUSED, NULL, &problem);
}

static void set_up(void)
{
    struct timers_config config = {.kinds = DUE_LEASE};

    fake_rail_open();
    memset(&changes, 0, sizeof changes);
    memory = arena_create(64 * 1024);
    timers = timers_open(fake_run(), &config);
}

static void tear_down(void)
{
    timers_close(timers);
    arena_destroy(memory);
    fake_rail_close();
}

TestSuite(timers, .init = set_up, .fini = tear_down);

#define PACKET "11111111-1111-4111-8111-111111111111"

Test(timers, a_step_is_started_when_its_deadline_has_come)
{
    note(PACKET, 5, fake_now_us() + HOUR_US);
    fake_pass_us(HOUR_US - 1);
    cr_assert_eq(changes.started, 0);
    fake_pass_us(1);
    cr_assert_eq(changes.started, 1);
    answer(0, 6, 0);
    cr_assert_eq(timers_in_hand(timers), 0);
    cr_assert_eq(fake_alarm_us(), ALARM_NEVER);
}

Test(timers, a_newer_deadline_heard_during_a_step_is_kept)
{
    note(PACKET, 5, fake_now_us());
    fake_pass_us(0);
    cr_assert_eq(changes.started, 1);
    note(PACKET, 6, 0);
    note(PACKET, 7, fake_now_us() + HOUR_US);
    answer(0, 6, 0);
    cr_assert_eq(fake_alarm_us(), fake_now_us() + HOUR_US, "the timer of 7 was lost");
    fake_pass_us(HOUR_US);
    cr_assert_eq(changes.started, 2);
    answer(0, 8, 0);
}

Test(timers, a_packet_without_a_deadline_heard_during_a_step_is_forgotten_after_it)
{
    note(PACKET, 5, fake_now_us());
    fake_pass_us(0);
    note(PACKET, 7, 0);
    answer(0, 6, fake_now_us() + HOUR_US);
    cr_assert_eq(fake_alarm_us(), ALARM_NEVER);
}

Test(timers, a_step_that_failed_is_made_again_unless_something_newer_is_known)
{
    note(PACKET, 5, fake_now_us());
    fake_pass_us(0);
    refuse(0, PROBLEM_UNAVAILABLE);
    fake_pass_us(US_PER_SECOND);
    cr_assert_eq(changes.started, 2);
    note(PACKET, 7, fake_now_us() + HOUR_US);
    refuse(0, PROBLEM_UNAVAILABLE);
    fake_pass_us(US_PER_SECOND);
    cr_assert_eq(changes.started, 2);
    cr_assert_eq(fake_alarm_us(), fake_now_us() - US_PER_SECOND + HOUR_US);
    fake_pass_us(HOUR_US);
    answer(0, 8, 0);
}

Test(timers, a_packet_that_is_gone_is_forgotten)
{
    note(PACKET, 5, fake_now_us());
    fake_pass_us(0);
    refuse(0, PROBLEM_NOT_FOUND);
    fake_pass_us(HOUR_US);
    cr_assert_eq(changes.started, 1);
}

// --- any order -----------------------------------------------------------------------------------

#define PACKETS 4
#define ROUNDS 400
#define STEPS 60

struct model {
    char id[UUID_TEXT_BYTES];
    uint64_t sequence; // of its newest record
    int64_t due_us;    // of that; 0: none
    uint64_t heard;    // the feed has told up to here
    int64_t dues[STEPS * 2 + 2];
};

static struct model models[PACKETS];

static unsigned dice(unsigned sides)
{
    static unsigned long long state = 88172645463325252ULL; // the same in every run

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % sides);
}

static struct model *model_of(const char *packet_id)
{
    for (size_t i = 0; i < PACKETS; i++) {
        if (strcmp(models[i].id, packet_id) == 0)
            return &models[i];
    }
    cr_assert_fail("a step of an unknown packet");
    return NULL;
}

static void append_to(struct model *model, int64_t due_us)
{
    model->due_us = due_us;
    model->dues[++model->sequence] = due_us;
}

static int64_t any_due(void)
{
    return dice(3) == 0 ? 0 : fake_now_us() + (int64_t)dice(5) * US_PER_SECOND;
}

static void hear_next(struct model *model)
{
    if (model->heard == model->sequence)
        return;
    model->heard++;
    note(model->id, model->heard, model->dues[model->heard]);
}

// As the change engine does: a step is made if the packet's deadline has come.
static void make_step(struct pending *pending, int64_t next_due_us)
{
    struct model *model = model_of(pending->packet_id);

    if (pending->made != 0)
        return;
    if (model->due_us > 0 && model->due_us <= fake_now_us())
        append_to(model, next_due_us);
    pending->made = model->sequence;
}

// The answer may come long after, when others have changed the packet again.
static void answer_step(size_t index)
{
    const struct pending *pending = &changes.items[index];

    answer(index, pending->made, model_of(pending->packet_id)->dues[pending->made]);
}

static void make_or_answer_any(void)
{
    size_t index;

    if (changes.count == 0)
        return;
    index = dice((unsigned)changes.count);
    if (changes.items[index].made != 0)
        answer_step(index);
    else if (dice(8) == 0)
        refuse(index, PROBLEM_UNAVAILABLE);
    else
        make_step(&changes.items[index], any_due());
}

static void any_step(void)
{
    struct model *model = &models[dice(PACKETS)];

    switch (dice(4)) {
    case 0:
        append_to(model, any_due());
        break;
    case 1:
        hear_next(model);
        break;
    case 2:
        make_or_answer_any();
        break;
    default:
        fake_pass_us(dice(2) * US_PER_SECOND / 2);
    }
}

static bool is_settled(void)
{
    for (size_t i = 0; i < PACKETS; i++) {
        if (models[i].due_us != 0 || models[i].heard < models[i].sequence)
            return false;
    }
    return changes.count == 0 && fake_alarm_us() == ALARM_NEVER;
}

// Nothing new happens: everything is heard and answered, and every deadline must be met.
static void settle(void)
{
    for (int i = 0; i < 100 && !is_settled(); i++) {
        for (size_t k = 0; k < PACKETS; k++) {
            while (models[k].heard < models[k].sequence)
                hear_next(&models[k]);
        }
        while (changes.count > 0) {
            make_step(&changes.items[0], 0);
            answer_step(0);
        }
        fake_pass_us(US_PER_SECOND);
    }
}

Test(timers, no_order_of_deliveries_and_answers_loses_one)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PACKETS; i++) {
            struct uuid id = uuid_new();

            memset(&models[i], 0, sizeof models[i]);
            uuid_format(models[i].id, &id);
        }
        for (int step = 0; step < STEPS; step++)
            any_step();
        settle();
        cr_assert(is_settled(), "round %d: a deadline was not met", round);
        arena_reset(memory);
    }
}
