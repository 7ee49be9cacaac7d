#include "workers/webhook/queue.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct queue_limits limits = {.per_hook = 4,
                                           .total = 6,
                                           .light_max = 8,
                                           .per_hook_max = 20,
                                           .total_max = 1000,
                                           .payload_bytes_max = 100};

static struct queue *queue;
static uint64_t sequence;

static void set_up(void)
{
    queue = queue_create(&limits);
    sequence = 0;
}

static void tear_down(void)
{
    queue_destroy(queue);
}

TestSuite(queue, .init = set_up, .fini = tear_down);

static struct queued *add(struct hook *hook, uint8_t packet)
{
    struct queued fields = {.sequence = ++sequence};

    fields.packet_id.bytes[0] = packet;
    memcpy(fields.id.bytes, &sequence, sizeof sequence);
    fields.id.bytes[15] = (uint8_t)hook->key[0];
    return queue_add(queue, hook, &fields);
}

Test(queue, sends_the_events_of_a_packet_one_behind_the_other)
{
    struct hook *hook = queue_add_hook(queue, "acme.one", 0);
    struct queued *first = add(hook, 1);
    struct queued *second = add(hook, 1);
    struct queued *other = add(hook, 2);

    cr_assert_eq(queue_take(queue), first);
    cr_assert_eq(queue_take(queue), other);
    cr_assert_null(queue_take(queue));
    queue_recorded(first, 100);
    queue_retry(queue, first, 50);
    cr_assert(queue_is_stuck(second));
    cr_assert_null(queue_take(queue));
    cr_assert_eq(queue_next_at(queue), 50);
    queue_wake(queue, 49);
    cr_assert_null(queue_take(queue));
    queue_wake(queue, 50);
    cr_assert_eq(queue_take(queue), first);
    queue_done(queue, first);
    cr_assert_eq(queue_take(queue), second);
    queue_done(queue, second);
    queue_done(queue, other);
    cr_assert_eq(queue_count(queue), 0);
}

Test(queue, takes_no_more_of_a_hook_than_it_may_and_no_more_than_all_may)
{
    struct hook *one = queue_add_hook(queue, "acme.one", 0);
    struct hook *two = queue_add_hook(queue, "acme.two", 0);
    struct queued *taken[8];
    size_t count = 0;

    for (uint8_t i = 0; i < 6; i++)
        add(one, i);
    while ((taken[count] = queue_take(queue)) != NULL)
        count++;
    cr_assert_eq(count, 4);
    for (uint8_t i = 0; i < 6; i++)
        add(two, i);
    while ((taken[count] = queue_take(queue)) != NULL)
        count++;
    cr_assert_eq(count, 5, "one is left for other tenants");
    queue_done(queue, taken[0]);
    cr_assert_not_null(queue_take(queue));
    cr_assert_null(queue_take(queue));
}

Test(queue, lets_tenants_take_turns)
{
    struct hook *busy = queue_add_hook(queue, "busy.one", 0);
    struct hook *also_busy = queue_add_hook(queue, "busy.two", 0);
    struct hook *quiet = queue_add_hook(queue, "quiet.one", 0);

    for (uint8_t i = 0; i < 5; i++) {
        add(busy, i);
        add(also_busy, i);
    }
    for (uint8_t i = 0; i < 3; i++)
        add(quiet, i);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(strncmp(queue_take(queue)->hook->key, "busy", 4), 0);
        cr_assert_eq(queue_take(queue)->hook, quiet);
    }
}

Test(queue, leaves_half_of_the_places_to_those_that_do_not_fail)
{
    struct hook *bad[4];
    struct hook *good = queue_add_hook(queue, "good.one", 0);
    char key[] = "bad.0";
    int count = 0;

    for (int i = 0; i < 4; i++) {
        key[4] = (char)('0' + i);
        bad[i] = queue_add_hook(queue, key, 0);
        for (int k = 0; k < 8; k++)
            queue_note(queue, bad[i], false, false);
        for (uint8_t k = 0; k < 3; k++)
            (void)add(bad[i], (uint8_t)(k + i * 10));
    }
    while (queue_take(queue) != NULL)
        count++;
    cr_assert_eq(count, 3); // of 6
    add(good, 1);
    cr_assert_eq(queue_take(queue)->hook, good);
}

Test(queue, leaves_half_of_the_places_to_those_that_answer_at_once)
{
    struct hook *slow = queue_add_hook(queue, "acme.slow", 0);
    struct hook *good = queue_add_hook(queue, "acme.good", 0);
    struct queued *taken[3];

    queue_note(queue, slow, true, true);
    for (uint8_t i = 0; i < 8; i++)
        add(slow, i);
    for (int i = 0; i < 3; i++) {
        taken[i] = queue_take(queue);
        cr_assert_not_null(taken[i]);
    }
    cr_assert_null(queue_take(queue));
    add(good, 1);
    cr_assert_eq(queue_take(queue)->hook, good);
    // Quick again while three of it are under way: they count as the others do.
    queue_note(queue, slow, true, false);
    cr_assert_eq(queue_take(queue)->hook, slow);
    for (int i = 0; i < 3; i++)
        queue_done(queue, taken[i]);
    cr_assert_eq(queue_taken(queue), 2);
}

Test(queue, leaves_places_for_a_tenant_that_comes_later)
{
    char key[] = "busy.0";
    int count = 0;

    for (int i = 0; i < 5; i++) {
        struct hook *hook;

        key[5] = (char)('0' + i);
        hook = queue_add_hook(queue, key, 0);
        for (uint8_t k = 0; k < 4; k++)
            add(hook, (uint8_t)(k + i * 4));
    }
    while (queue_take(queue) != NULL)
        count++;
    cr_assert_eq(count, 5); // of 6
    add(queue_add_hook(queue, "quiet.one", 0), 1);
    cr_assert_eq(strcmp(queue_take(queue)->hook->key, "quiet.one"), 0);
}

// However many hooks of a tenant take nothing, the others have room.
Test(queue, leaves_room_however_many_are_full)
{
    struct queue_limits small = limits;
    struct queue *full;
    char key[24];
    struct hook *good;

    small.light_max = small.per_hook_max = small.total_max = 200;
    full = queue_create(&small);
    for (int i = 0; i < 40; i++) {
        struct hook *hook;

        (void)snprintf(key, sizeof key, "bad.%02d", i);
        hook = queue_add_hook(full, key, 0);
        for (int k = 0; k < 200 && !queue_is_full(full, hook); k++) {
            struct queued fields = {.sequence = ++sequence, .record_seq = 1};

            memcpy(fields.id.bytes, &sequence, sizeof sequence);
            memcpy(fields.packet_id.bytes, &sequence, sizeof sequence);
            queue_add(full, hook, &fields);
        }
    }
    cr_assert_leq(queue_count(full), 100, "half of it is for other tenants");
    good = queue_add_hook(full, "good.one", 0);
    cr_assert_not(queue_is_full(full, good));
    cr_assert(queue_has_room(full, good));
    queue_destroy(full);
}

Test(queue, keeps_no_more_bytes_than_it_may_and_each_body_once)
{
    static const uint8_t text[60] = "a body";
    struct hook *one = queue_add_hook(queue, "acme.one", 0);
    struct hook *two = queue_add_hook(queue, "acme.two", 0);
    struct payload *payload = queue_payload(queue, (Text){sizeof text, (uint8_t *)text});
    struct queued fields = {.sequence = 1, .payload = payload};
    struct queued *first = queue_add(queue, one, &fields);

    fields.id.bytes[0] = 2;
    queue_add(queue, two, &fields);
    queue_payload_drop(queue, payload);
    cr_assert_not(queue_is_full(queue, one));
    payload = queue_payload(queue, (Text){sizeof text, (uint8_t *)text});
    cr_assert(queue_is_full(queue, one));
    cr_assert_not(queue_is_full(queue, queue_add_hook(queue, "acme.three", 0)),
                  "it has nothing here yet");
    queue_payload_drop(queue, payload);
    queue_lighten(queue, first);
    cr_assert_null(first->payload);
    cr_assert_not(queue_is_full(queue, one));
}

Test(queue, takes_one_at_a_time_of_a_hook_that_fails_until_it_does_not)
{
    struct hook *hook = queue_add_hook(queue, "acme.one", 0);

    for (int i = 0; i < 20; i++)
        queue_note(queue, hook, false, false);
    cr_assert_eq(hook->limit, 1);
    for (int i = 0; i < 20; i++)
        queue_note(queue, hook, true, false);
    cr_assert_eq(hook->limit, 4);
}

Test(queue, knows_which_have_no_record_in_the_order_of_the_stream)
{
    struct hook *hook = queue_add_hook(queue, "acme.one", 0);
    struct queued *first = add(hook, 1);
    struct queued *second = add(hook, 2);

    cr_assert_eq(hook->first_light, first);
    queue_recorded(first, 7);
    cr_assert_eq(hook->first_light, second);
    cr_assert_eq(hook->light, 1);
    for (uint8_t i = 0; i < 7; i++)
        add(hook, (uint8_t)(10 + i));
    cr_assert(queue_is_full(queue, hook));
    cr_assert_not(queue_has_room(queue, hook));
}

Test(queue, forgets_a_hook_and_lets_what_is_taken_end)
{
    struct hook *hook = queue_add_hook(queue, "acme.one", 0);
    struct queued *taken;

    add(hook, 1);
    add(hook, 2);
    taken = queue_take(queue);
    queue_drop_hook(queue, hook);
    cr_assert_null(queue_hook(queue, "acme.one"));
    cr_assert_null(queue_tenant(queue, "acme"));
    cr_assert_null(taken->hook);
    cr_assert_null(queue_take(queue));
    queue_done(queue, taken);
    cr_assert_eq(queue_count(queue), 0);
    cr_assert_eq(queue_taken(queue), 0);
}

Test(queue, wakes_thousands_in_the_order_of_their_time)
{
    struct hook *hook = queue_add_hook(queue, "acme.one", 0);
    int64_t last = 0;

    for (int i = 0; i < 2000; i++) {
        struct queued fields = {
            .sequence = (uint64_t)i + 1, .record_seq = 1, .at_us = 1 + (i * 7919) % 10007};

        memcpy(fields.id.bytes, &i, sizeof i);
        memcpy(fields.packet_id.bytes, &i, sizeof i);
        (void)queue_add(queue, hook, &fields);
    }
    while (queue_next_at(queue) != QUEUE_NEVER) {
        cr_assert_geq(queue_next_at(queue), last);
        last = queue_next_at(queue);
        queue_wake(queue, last);
    }
    queue_hurry(queue, hook);
}

Test(queue, takes_only_keys_that_a_hook_can_have)
{
    char key[200];

    cr_assert(queue_takes_key("acme.11111111-1111-4111-8111-111111111111"));
    cr_assert_not(queue_takes_key(""));
    cr_assert_not(queue_takes_key("acme"));
    cr_assert_not(queue_takes_key(".one"));
    (void)snprintf(key, sizeof key, "%0*d.x", TOKEN_MAX, 0);
    cr_assert(queue_takes_key(key));
    (void)snprintf(key, sizeof key, "%0*d.x", TOKEN_MAX + 1, 0);
    cr_assert_not(queue_takes_key(key), "its tenant is too long");
    (void)snprintf(key, sizeof key, "acme.%0150d", 0);
    cr_assert_not(queue_takes_key(key), "its id is too long");
}
