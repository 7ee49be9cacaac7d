// Requests against a script of answers: each is done exactly once, with its own answer or none.
#include "broker/nats/request.h"

#include "broker/base/buf.h"
#include "broker/nats/subjects.h"
#include "tests/unit/fake_rail.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ASKERS 200

struct asker {
    int calls;
    enum rc rc;
    char text[64];
};

static struct requests *requests;
static struct asker askers[ASKERS];

static void set_up(void)
{
    fake_rail_open();
    memset(askers, 0, sizeof askers);
    requests = requests_open(fake_conn(), fake_loop(), "gateway");
}

static void tear_down(void)
{
    requests_close(requests);
    fake_rail_close();
}

TestSuite(request, .init = set_up, .fini = tear_down);

static void on_done(void *ctx, enum rc rc, struct msg *reply)
{
    struct asker *asker = ctx;

    asker->calls++;
    asker->rc = rc;
    cr_assert_eq(rc == RC_OK, reply != NULL);
    if (reply != NULL)
        (void)snprintf(asker->text, sizeof asker->text, "%.*s", (int)msg_len(reply),
                       (const char *)msg_data(reply));
}

static void ask(size_t i, const char *subject)
{
    const struct request request = {.subject = subject,
                                    .data = "?",
                                    .len = 1,
                                    .timeout_ms = 1000,
                                    .done = on_done,
                                    .ctx = &askers[i]};

    request_send(requests, &request);
}

static const char *reply_of(size_t i)
{
    return fake_sent(i)->reply;
}

static void assert_done(size_t i, enum rc rc, const char *text)
{
    cr_assert_eq(askers[i].calls, 1, "request %zu was done %d times", i, askers[i].calls);
    cr_assert_eq(askers[i].rc, rc, "request %zu: %s", i, rc_text(askers[i].rc));
    cr_assert_str_eq(askers[i].text, text);
}

static void deliver_part(size_t i, const char *mark, const char *text)
{
    const struct header header = {HEADER_PART, mark};

    fake_deliver_with(reply_of(i), NULL, &header, 1, text, strlen(text));
}

Test(request, answers_in_any_order_find_their_requests)
{
    for (size_t i = 0; i < 3; i++)
        ask(i, "a.b");
    fake_deliver(reply_of(2), "two", 3);
    fake_deliver(reply_of(0), "zero", 4);
    fake_deliver(reply_of(1), "one", 3);
    assert_done(0, RC_OK, "zero");
    assert_done(1, RC_OK, "one");
    assert_done(2, RC_OK, "two");
}

Test(request, two_hundred_kinds_of_requests_share_one_subscription)
{
    char subject[32];

    for (size_t i = 0; i < ASKERS; i++) {
        (void)snprintf(subject, sizeof subject, "noun%zu.verb%zu", i, i);
        ask(i, subject);
    }
    cr_assert_eq(fake_subscription_count(), 1);
    for (size_t i = 0; i < ASKERS; i++) {
        (void)snprintf(subject, sizeof subject, "%zu", i);
        fake_deliver(reply_of(i), subject, strlen(subject));
        assert_done(i, RC_OK, subject);
    }
}

Test(request, that_nobody_takes_fails_alone)
{
    ask(0, "a.b");
    ask(1, "a.b");
    ask(2, "a.b");
    fake_deliver_no_responders(reply_of(1));
    assert_done(1, RC_UNAVAILABLE, "");
    cr_assert_eq(askers[0].calls + askers[2].calls, 0);
    fake_deliver(reply_of(0), "0", 1);
    fake_deliver(reply_of(2), "2", 1);
    assert_done(0, RC_OK, "0");
    assert_done(2, RC_OK, "2");
}

Test(request, a_late_answer_finds_nothing)
{
    char late[160];

    ask(0, "a.b");
    (void)snprintf(late, sizeof late, "%s", reply_of(0));
    fake_pass_us(1100 * 1000);
    assert_done(0, RC_TIMEOUT, "");
    ask(1, "a.b"); // in the same slot
    fake_deliver(late, "late", 4);
    cr_assert_eq(askers[1].calls, 0);
    fake_deliver(reply_of(1), "1", 1);
    assert_done(1, RC_OK, "1");
    assert_done(0, RC_TIMEOUT, "");
}

Test(request, a_second_answer_finds_nothing)
{
    ask(0, "a.b");
    fake_deliver(reply_of(0), "x", 1);
    fake_deliver(reply_of(0), "y", 1);
    fake_deliver_no_responders(reply_of(0));
    assert_done(0, RC_OK, "x");
}

Test(request, a_broken_connection_leaves_the_outcome_open)
{
    ask(0, "a.b");
    fake_set_up(false);
    assert_done(0, RC_TIMEOUT, "");
    ask(1, "a.b");
    assert_done(1, RC_UNAVAILABLE, "");
}

Test(request, parts_are_put_together)
{
    ask(0, "a.b");
    deliver_part(0, "1/3", "one,");
    deliver_part(0, "2/3", "two,");
    cr_assert_eq(askers[0].calls, 0);
    deliver_part(0, "3/3", "three");
    assert_done(0, RC_OK, "one,two,three");
}

Test(request, an_answer_that_lacks_a_part_is_not_taken_for_whole)
{
    ask(0, "a.b");
    deliver_part(0, "1/3", "one,");
    deliver_part(0, "3/3", "three");
    assert_done(0, RC_TIMEOUT, "");
    ask(1, "a.b");
    deliver_part(1, "2/2", "two");
    assert_done(1, RC_TIMEOUT, "");
}

Test(request, a_part_that_comes_twice_spoils_the_answer)
{
    ask(0, "a.b");
    deliver_part(0, "1/2", "one,");
    deliver_part(0, "1/2", "one,");
    assert_done(0, RC_TIMEOUT, "");
}

Test(request, parts_with_nonsense_for_a_mark_are_no_answer)
{
    static const char *const marks[] = {"", "x", "1", "1/", "0/1", "2/1", "1/2x", "-1/2", "1/0"};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        ask(i, "a.b");
        deliver_part(i, marks[i], "x");
        assert_done(i, RC_TIMEOUT, "");
    }
}

Test(request, a_count_that_changes_between_parts_spoils_the_answer)
{
    ask(0, "a.b");
    deliver_part(0, "1/3", "one,");
    deliver_part(0, "2/2", "two");
    assert_done(0, RC_TIMEOUT, "");
}

Test(request, after_a_broken_answer_the_slot_serves_the_next_request)
{
    ask(0, "a.b");
    deliver_part(0, "1/3", "one,");
    deliver_part(0, "3/3", "three");
    ask(1, "a.b");
    deliver_part(0, "2/3", "two"); // of the first one
    cr_assert_eq(askers[1].calls, 0);
    deliver_part(1, "1/1", "whole");
    assert_done(1, RC_OK, "whole");
}
