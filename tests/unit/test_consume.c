// Consumers that share an inbox, against a script of deliveries: each gets its own, in order.
#include "broker/nats/consume.h"

#include "broker/nats/shared_inbox.h"
#include "tests/unit/fake_rail.h"

#include <criterion/criterion.h>
#include <inttypes.h>
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

static size_t rewound; // times
static uint64_t rewound_to;

static void on_rewound(void *ctx, uint64_t place)
{
    (void)ctx;
    rewound++;
    rewound_to = place;
}

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
                                          .on_rewound = on_rewound,
                                          .ctx = &configs[i]};
    consumers[i] = consumer_open(requests, fake_conn(), fake_loop(), &configs[i]);
    answer_create(name);
}

static void set_up(void)
{
    fake_rail_open();
    memset(seen_count, 0, sizeof seen_count);
    memset(consumers, 0, sizeof consumers);
    rewound = 0;
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

// The inbox of the sender of this last pull, without the token of the pull.
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
    char text[16];

    (void)snprintf(text, sizeof text, "m%u", sequence); // so that no two are the same
    (void)snprintf(reply, sizeof reply, "$JS.ACK.S.%s.1.%u.%u.1700000000000000000.5", consumer,
                   sequence, number);
    cr_assert_eq(fake_deliver_by(inbox, "x.y", reply, text, strlen(text)), 1);
}

// Answers what is asked before a consumer is made again: where does the stream end?
static void answer_end(uint64_t end)
{
    const struct fake_sent *sent = fake_sent(fake_sent_count() - 1);
    char text[64];

    cr_assert_not_null(strstr(sent->subject, "STREAM.INFO"), "%s", sent->subject);
    (void)snprintf(text, sizeof text, "{\"state\":{\"last_seq\":%" PRIu64 "}}", end);
    fake_deliver(sent->reply, text, strlen(text));
}

// And which message is at this sequence? NULL: none.
static void answer_message(unsigned sequence, const char *message)
{
    static const struct header not_found = {"Status", "404"};
    const struct fake_sent *sent = fake_sent(fake_sent_count() - 1);
    char body[32];

    (void)snprintf(body, sizeof body, "{\"seq\":%u}", sequence);
    cr_assert_not_null(strstr(sent->subject, "DIRECT.GET"), "%s", sent->subject);
    cr_assert_str_eq(sent->data, body);
    if (message != NULL)
        fake_deliver(sent->reply, message, strlen(message));
    else
        fake_deliver_with(sent->reply, NULL, &not_found, 1, "", 0);
}

static void answer_check(uint64_t end, const char *message)
{
    answer_end(end);
    answer_message(11, message);
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
    answer_check(11, "m11");
    cr_assert_not_null(strstr(fake_sent(sent + 2)->data, "\"opt_start_seq\":12"));
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
    answer_check(13, "m11");
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
    answer_check(11, "m11");
    cr_assert_not_null(strstr(fake_sent(fake_sent_count() - 1)->data, "\"opt_start_seq\":12"));
    answer_create("B");
    deliver(inbox, "B", 12, 1);
    cr_assert_eq(seen_count[0], 2);
}

// --- a stream that has lost its end --------------------------------------------------------------

// A reader that has seen 11, 12 and 13 loses its connection, and gets it back.
static void see_three_and_reconnect(void)
{
    char inbox[DELIVERY_INBOX_BYTES];

    open_consumer(0, "A");
    last_pull(inbox);
    for (unsigned i = 1; i <= 3; i++)
        deliver(inbox, "A", 10 + i, i);
    fake_set_up(false);
    fake_pass_us(SECOND_US);
    fake_set_up(true);
    fake_pass_us(SECOND_US);
}

static void assert_begins_at(unsigned sequence)
{
    char text[32];

    (void)snprintf(text, sizeof text, "\"opt_start_seq\":%u,", sequence);
    cr_assert_not_null(strstr(fake_sent(fake_sent_count() - 1)->data, text), "%s",
                       fake_sent(fake_sent_count() - 1)->data);
}

Test(consume, a_stream_that_ends_earlier_than_before_has_lost_its_end)
{
    see_three_and_reconnect();
    answer_end(11);
    answer_message(11, "m11");
    cr_assert(rewound == 1 && rewound_to == 11);
    assert_begins_at(12);
}

Test(consume, a_lost_end_is_noticed_when_others_have_written_beyond_it)
{
    see_three_and_reconnect();
    answer_end(20);
    answer_message(13, "another");
    answer_message(12, "another, too");
    answer_message(11, "m11");
    cr_assert(rewound == 1 && rewound_to == 11);
    assert_begins_at(12);
}

Test(consume, a_message_that_was_taken_out_is_no_lost_end)
{
    see_three_and_reconnect();
    answer_end(20);
    answer_message(13, NULL);
    answer_message(12, "m12");
    cr_assert_eq(rewound, 0);
    assert_begins_at(14);
}

Test(consume, another_stream_is_read_from_its_beginning)
{
    see_three_and_reconnect();
    answer_end(12);
    answer_message(12, "x");
    answer_message(11, "y");
    cr_assert(rewound == 1 && rewound_to == 0);
    assert_begins_at(1);
}

Test(consume, while_it_cannot_be_found_out_nothing_is_read)
{
    size_t sent;

    see_three_and_reconnect();
    sent = fake_sent_count();
    fake_deliver_no_responders(fake_sent(sent - 1)->reply);
    cr_assert_eq(fake_sent_count(), sent);
    fake_pass_us(SECOND_US);
    answer_end(13); // asked once more
    answer_message(13, "m13");
    cr_assert_eq(rewound, 0);
    assert_begins_at(14);
}
