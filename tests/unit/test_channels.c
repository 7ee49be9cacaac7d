// Which changes a listener is told: each it wants, once, wherever its subscriptions begin.
#include "gateway/live/channels.h"

#include "tests/unit/messages.h"

#include <stdio.h>
#include <stdlib.h>

static struct channels *channels;

static void set_up(void)
{
    channels = channels_create(0);
}

static void tear_down(void)
{
    channels_destroy(channels);
}

TestSuite(channels, .init = set_up, .fini = tear_down);

static struct live_event event_of(uint64_t sequence, const char *status, const char *packet_id,
                                  const char *source, const char *target)
{
    return (struct live_event){
        .sequence = sequence,
        .status = text_of(status),
        .packet_id = text_of(packet_id),
        .source = text_of(source),
        .target = text_of(target),
    };
}

static bool wants(uint64_t sequence, const char *status)
{
    struct live_event event = event_of(sequence, status, "p", "a", "b");

    return channels_want(channels, &event);
}

Test(channels, want_everything_until_one_is_named)
{
    cr_assert(wants(1, "created"));
    cr_assert(channels_add(channels, text_of("status:failed"), 5, 5));
    cr_assert_not(wants(6, "created"));
    cr_assert(wants(7, "failed"));
    channels_remove(channels, text_of("status:failed"), 7);
    cr_assert(wants(8, "created"));
}

Test(channels, match_status_packet_and_both_agents)
{
    struct live_event event = event_of(9, "created", "p1", "from:x", "to");

    cr_assert(channels_add(channels, text_of("packet:p2"), 1, 1));
    cr_assert_not(channels_want(channels, &event));
    cr_assert(channels_add(channels, text_of("agent:from:x"), 1, 1));
    cr_assert(channels_want(channels, &event));
    channels_remove(channels, text_of("agent:from:x"), 2);
    cr_assert(channels_add(channels, text_of("agent:to"), 2, 2));
    cr_assert(channels_want(channels, &event));
    channels_remove(channels, text_of("agent:to"), 3);
    cr_assert(channels_add(channels, text_of("nonsense"), 3, 3));
    cr_assert_not(channels_want(channels, &event));
}

Test(channels, tell_a_past_once_more_but_nothing_twice)
{
    // Everything was told up to 10, from 4 on.
    channels_restart(channels, 4);
    cr_assert(channels_add(channels, text_of("status:failed"), 0, 10));
    cr_assert(wants(3, "failed"));
    cr_assert(wants(4, "failed"));
    cr_assert_not(wants(5, "failed"), "it was told as part of everything");
    cr_assert_not(wants(10, "failed"));
    cr_assert(wants(11, "failed"));
    cr_assert_not(wants(3, "created"));
    // Now another one, after the first has been told up to 20.
    cr_assert(channels_add(channels, text_of("agent:a"), 0, 20));
    cr_assert(wants(3, "created"));
    cr_assert_not(wants(3, "failed"), "the first channel has told it");
    cr_assert_not(wants(7, "created"), "it was told as part of everything");
    cr_assert(wants(15, "created"));
    cr_assert_not(wants(15, "failed"));
    cr_assert(wants(21, "failed"));
}

Test(channels, do_nothing_for_one_they_have)
{
    cr_assert(channels_add(channels, text_of("status:failed"), 3, 3));
    cr_assert(channels_add(channels, text_of("status:failed"), 9, 9));
    cr_assert(wants(5, "failed"));
    channels_remove(channels, text_of("status:failed"), 9);
    channels_remove(channels, text_of("status:failed"), 9);
    cr_assert(wants(10, "created"));
}

Test(channels, are_bounded)
{
    char name[32];

    for (int i = 0; i < CHANNELS_MAX; i++) {
        (void)snprintf(name, sizeof name, "agent:%d", i);
        cr_assert(channels_add(channels, text_of(name), 0, 0));
    }
    cr_assert_not(channels_add(channels, text_of("agent:more"), 0, 0));
    cr_assert(channels_add(channels, text_of("agent:0"), 0, 0), "it is one of them");
    for (int i = 0; i < 1000; i++) {
        channels_remove(channels, text_of("agent:0"), 5);
        cr_assert(channels_add(channels, text_of("agent:0"), 5, 5));
    }
}

Test(channels, name_themselves)
{
    struct arena *arena = arena_create(256);

    cr_assert_str_eq(channels_names(channels, arena), "all");
    cr_assert(channels_add(channels, text_of("status:a"), 0, 0));
    cr_assert(channels_add(channels, text_of("agent:b"), 0, 0));
    cr_assert_str_eq(channels_names(channels, arena), "status:a, agent:b");
    arena_destroy(arena);
}

// A listener as listener.c is one, over a stream of events with one of four statuses: it goes on
// from its place, and back to where a subscription begins. Against it, a plain account of who was
// told what: nothing twice, and everything that an open subscription covers.
enum { EVENTS = 60, KINDS = 4 };

static const char *const statuses[KINDS] = {"s0", "s1", "s2", "s3"};
static const char *const names[KINDS] = {"status:s0", "status:s1", "status:s2", "status:s3"};

struct account {
    int kind[EVENTS + 1];
    int told[EVENTS + 1];
    uint64_t from[KINDS]; // of an open subscription
    bool open[KINDS];
    uint64_t position;
    uint64_t highest; // told up to here at some time
};

static void go_on(struct account *account, uint64_t steps)
{
    while (steps-- > 0 && account->position < EVENTS) {
        uint64_t sequence = ++account->position;

        if (wants(sequence, statuses[account->kind[sequence]]))
            account->told[sequence]++;
        if (sequence > account->highest)
            account->highest = sequence;
    }
}

Test(channels, tell_each_once_in_any_order_of_subscriptions)
{
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct account account = {0};

        srand(seed);
        channels_destroy(channels);
        channels = channels_create(0);
        for (int i = 1; i <= EVENTS; i++)
            account.kind[i] = rand() % KINDS;
        for (int step = 0; step < 12; step++) {
            int kind = rand() % KINDS;

            go_on(&account, (uint64_t)(rand() % 12));
            if (account.open[kind] && rand() % 2 == 0) {
                channels_remove(channels, text_of(names[kind]), account.position);
                account.open[kind] = false;
            } else if (!account.open[kind]) {
                uint64_t since = (uint64_t)rand() % (account.position + 1);

                cr_assert(channels_add(channels, text_of(names[kind]), since, account.position));
                account.open[kind] = true;
                account.from[kind] = since;
                account.position = since;
            }
        }
        go_on(&account, EVENTS);
        for (int i = 1; i <= EVENTS; i++) {
            int of = account.kind[i];

            cr_assert_leq(account.told[i], 1, "seed %u: %d was told %d times", seed, i,
                          account.told[i]);
            if (account.open[of] && (uint64_t)i > account.from[of])
                cr_assert_eq(account.told[i], 1, "seed %u: %d was not told", seed, i);
        }
    }
}
