// Consumers that share an inbox, against a script of deliveries: each gets its own, in order.
#include "broker/nats/consume.h"

#include "broker/nats/shared_inbox.h"
#include "tests/unit/fake_rail.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT 3
#define SECOND_US 1000000

static struct requests *requests;
static struct shared_inbox *shared;
static struct consumer *consumers[COUNT];
static struct consumer_config configs[COUNT];
static uint64_t seen[COUNT][64];
static size_t seen_count[COUNT];

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    size_t i = (size_t)((struct consumer_config *)ctx - configs);

    (void)msg;
    seen[i][seen_count[i]++] = delivery->sequence;
    consumer_release(consumers[i], 1);
}

static void answer_create(const char *name)
{
    const struct fake_sent *sent = fake_sent(fake_sent_count() - 1);
    char text[128];

    cr_assert_not_null(strstr(sent->subject, "CONSUMER.CREATE"), "%s", sent->subject);
    (void)snprintf(text, sizeof text, "{\"name\":\"%s\",\"num_pending\":1}", name);
    fake_deliver(sent->reply, text, strlen(text));
}

static void open_consumer(size_t i, const char *name)
{
    configs[i] = (struct consumer_config){.inbox = "gateway",
                                          .stream = "S",
                                          .filter = "x.*",
                                          .from = CONSUME_AFTER,
                                          .shared = shared,
                                          .window = 4,
                                          .on_message = on_message,
                                          .ctx = &configs[i]};
    consumers[i] = consumer_open(requests, fake_conn(), fake_loop(), &configs[i]);
    answer_create(name);
}

static void set_up(void)
{
    fake_rail_open();
    memset(seen_count, 0, sizeof seen_count);
    memset(consumers, 0, sizeof consumers);
    requests = requests_open(fake_conn(), fake_loop(), "gateway");
    cr_assert_eq(shared_inbox_open(&shared, fake_conn(), "gateway"), RC_OK);
}

static void tear_down(void)
{
    for (size_t i = 0; i < COUNT; i++)
        consumer_close(consumers[i]);
    shared_inbox_close(shared);
    requests_close(requests);
    fake_rail_close();
}

TestSuite(consume, .init = set_up, .fini = tear_down);

// The inbox of whoever sent this last pull, without the token of the pull.
static void last_pull(char inbox[DELIVERY_INBOX_BYTES])
{
    const struct fake_sent *sent = fake_sent(fake_sent_count() - 1);

    cr_assert_not_null(strstr(sent->subject, "MSG.NEXT"), "%s", sent->subject);
    (void)snprintf(inbox, DELIVERY_INBOX_BYTES, "%s", sent->reply);
}

// A message of the stream comes by the inbox, with its own subject.
static void deliver(const char *inbox, const char *consumer, unsigned sequence, unsigned number)
{
    char reply[128];

    (void)snprintf(reply, sizeof reply, "$JS.ACK.S.%s.1.%u.%u.1700000000000000000.5", consumer,
                   sequence, number);
    cr_assert_eq(fake_deliver_by(inbox, "x.y", reply, "m", 1), 1);
}

Test(consume, each_of_those_who_share_an_inbox_gets_its_own)
{
    char inbox[DELIVERY_INBOX_BYTES];

    open_consumer(0, "A");
    open_consumer(1, "B");
    last_pull(inbox);
    cr_assert_eq(fake_subscription_count(), 2, "of the answers, and of all deliveries");
    deliver(inbox, "A", 11, 1);
    deliver(inbox, "B", 21, 1);
    deliver(inbox, "A", 12, 2);
    deliver(inbox, "unknown", 31, 1);
    cr_assert(seen_count[0] == 2 && seen[0][0] == 11 && seen[0][1] == 12);
    cr_assert(seen_count[1] == 1 && seen[1][0] == 21);
}

Test(consume, one_whose_pull_nobody_took_begins_again_and_the_others_go_on)
{
    char inbox_a[DELIVERY_INBOX_BYTES];
    char inbox_b[DELIVERY_INBOX_BYTES];
    size_t sent;

    open_consumer(0, "A");
    last_pull(inbox_a);
    open_consumer(1, "B");
    last_pull(inbox_b);
    deliver(inbox_a, "A", 11, 1);
    fake_deliver_no_responders(inbox_a);
    sent = fake_sent_count();
    fake_pass_us(SECOND_US / 2);
    cr_assert_eq(fake_sent_count(), sent + 1, "one consumer is made again");
    cr_assert_not_null(strstr(fake_sent(sent)->data, "\"opt_start_seq\":12"));
    answer_create("C");
    deliver(inbox_a, "A", 13, 2); // a leftover
    deliver(inbox_a, "C", 12, 1);
    deliver(inbox_b, "B", 21, 1);
    cr_assert(seen_count[0] == 2 && seen[0][1] == 12);
    cr_assert_eq(seen_count[1], 1);
}

Test(consume, a_message_that_is_missing_is_asked_for_again)
{
    char inbox[DELIVERY_INBOX_BYTES];

    open_consumer(0, "A");
    last_pull(inbox);
    deliver(inbox, "A", 11, 1);
    deliver(inbox, "A", 13, 3);
    cr_assert_eq(seen_count[0], 1);
    fake_pass_us(SECOND_US / 2);
    cr_assert_not_null(strstr(fake_sent(fake_sent_count() - 1)->data, "\"opt_start_seq\":12"));
    answer_create("B");
    deliver(inbox, "B", 12, 1);
    deliver(inbox, "B", 13, 2);
    cr_assert(seen_count[0] == 3 && seen[0][1] == 12 && seen[0][2] == 13);
}

Test(consume, what_comes_after_the_close_finds_nobody)
{
    char inbox[DELIVERY_INBOX_BYTES];

    open_consumer(0, "A");
    last_pull(inbox);
    open_consumer(1, "B");
    consumer_close(consumers[0]);
    consumers[0] = NULL;
    deliver(inbox, "A", 11, 1);
    deliver(inbox, "B", 21, 1);
    cr_assert(seen_count[0] == 0 && seen_count[1] == 1);
}

Test(consume, one_that_is_closed_while_it_is_made_is_removed_from_the_server)
{
    configs[0] = (struct consumer_config){.inbox = "gateway",
                                          .stream = "S",
                                          .filter = "x.*",
                                          .from = CONSUME_AFTER,
                                          .shared = shared,
                                          .window = 4,
                                          .on_message = on_message,
                                          .ctx = &configs[0]};
    consumer_close(consumer_open(requests, fake_conn(), fake_loop(), &configs[0]));
    answer_create("A");
    cr_assert_str_eq(fake_sent(fake_sent_count() - 1)->subject, "$JS.API.CONSUMER.DELETE.S.A");
}

Test(consume, after_a_broken_connection_it_goes_on_behind_what_it_has_seen)
{
    char inbox[DELIVERY_INBOX_BYTES];

    open_consumer(0, "A");
    last_pull(inbox);
    deliver(inbox, "A", 11, 1);
    fake_set_up(false);
    fake_pass_us(SECOND_US);
    fake_set_up(true);
    fake_pass_us(SECOND_US);
    cr_assert_not_null(strstr(fake_sent(fake_sent_count() - 1)->data, "\"opt_start_seq\":12"));
    answer_create("B");
    deliver(inbox, "B", 12, 1);
    cr_assert_eq(seen_count[0], 2);
}
