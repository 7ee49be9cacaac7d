// Lists, history, audit and the barrier on a projection made by the product.
#include "tests/integration/sql/records.h"

#include "workers/query/audit_list.h"
#include "workers/query/barrier.h"
#include "workers/query/history.h"
#include "workers/query/list.h"
#include "workers/query/page.h"
#include "workers/query/search.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TENANT "acme"

static struct lab lab;
static struct projection *projection;
static uint64_t sequence;

static void set_up(void)
{
    lab_open(&lab, true);
    lab_connect(&lab, 1, 0, "SET plan_cache_mode = force_custom_plan;" BARRIER_SESSION);
    projection = projection_create(lab.pg, 0, lab_ring());
    cr_assert_eq(do_epoch(&lab, projection, 0), RC_OK);
    sequence = 0;
}

static void tear_down(void)
{
    check_counts(&lab); // whatever a test did
    lab_close(&lab);
    projection_destroy(projection);
}

TestSuite(query, .init = set_up, .fini = tear_down, .timeout = 120);

static void store(const struct wish *wishes, size_t count)
{
    struct projection_item *items = arena_calloc(lab.arena, count, sizeof *items);

    for (size_t i = 0; i < count; i++)
        items[i] = record_make(&lab, ++sequence, &wishes[i]);
    cr_assert_eq(do_write(&lab, projection, items, count), RC_OK);
}

struct answer {
    bool done;
    enum rc rc;
    const Hr__PacketPage *page;
    const Hr__History *history;
    const Hr__AuditPage *audit;
};

static void on_page(void *ctx, enum rc rc, const ProtobufCMessage *page)
{
    *(struct answer *)ctx =
        (struct answer){.done = true, .rc = rc, .page = (const Hr__PacketPage *)page};
}

static void on_history(void *ctx, enum rc rc, const ProtobufCMessage *history)
{
    *(struct answer *)ctx =
        (struct answer){.done = true, .rc = rc, .history = (const Hr__History *)history};
}

static void on_audit(void *ctx, enum rc rc, const ProtobufCMessage *audit)
{
    *(struct answer *)ctx =
        (struct answer){.done = true, .rc = rc, .audit = (const Hr__AuditPage *)audit};
}

static Hr__ListPackets *list_request(void)
{
    return wire_new(lab.arena, &hr__list_packets__descriptor);
}

static void set(protobuf_c_boolean *has, Text *field, Text value)
{
    *has = 1;
    *field = value;
}

static const Hr__PacketPage *list(const Hr__ListPackets *request)
{
    struct answer answer = {0};
    struct problem problem;

    cr_assert_eq(list_packets(lab.pg, TENANT, request, lab.arena, &problem, on_page, &answer),
                 RC_OK);
    cr_assert(lab_until(&lab, &answer.done, 10000));
    cr_assert_eq(answer.rc, RC_OK);
    return answer.page;
}

// "3 2 1": the numbers of the packets on a page.
static const char *numbers(const Hr__PacketPage *page)
{
    const char *text = "";

    cr_assert_geq(page->total, (int64_t)page->n_packets);
    for (size_t i = 0; i < page->n_packets; i++) {
        const Text id = page->packets[i]->id;
        char digits[9] = "";

        memcpy(digits, id.data + id.len - 8, 8);
        text = arena_printf(lab.arena, "%s%s%ld", text, i > 0 ? " " : "", strtol(digits, NULL, 16));
    }
    return text;
}

enum field { STATUS, SOURCE, TARGET, TAGS, PRIORITY };

static const char *found_by(enum field field, Text value)
{
    Hr__ListPackets *request = list_request();
    const Hr__PacketPage *page;

    switch (field) {
    case STATUS:
        set(&request->has_status, &request->status, value);
        break;
    case SOURCE:
        set(&request->has_source_agent, &request->source_agent, value);
        break;
    case TARGET:
        set(&request->has_target_agent, &request->target_agent, value);
        break;
    case TAGS:
        set(&request->has_tags, &request->tags, value);
        break;
    case PRIORITY:
        set(&request->has_priority, &request->priority, value);
        break;
    }
    page = list(request);
    cr_assert_eq(page->total, (int64_t)page->n_packets);
    return numbers(page);
}

Test(query, every_filter_selects_what_it_says)
{
    static uint8_t nul[] = "a\0b";
    static char longest[3000];
    memset(longest, 'x', sizeof longest);
    const Text first[] = {text_of("red"), text_of("say \"hi\""), text_of("back\\slash")};
    const Text second[] = {
        text_of("red"), text_of("blue"), {3, nul},
          text_of("\x1f")
    };
    const Text third[] = {
        text_of("blue"), text_of("{NULL}"), {sizeof longest, (uint8_t *)longest}
    };
    const struct wish wishes[] = {
        {.packet_id = id_number(1),
         .created_us = NOON_US + 1,
         .source = text_of("s1"),
         .target = text_of("t1"),
         .tags = first,
         .tag_count = 3,
         .priority = HR__PRIORITY__PRIORITY_LOW},
        {.packet_id = id_number(2),
         .created_us = NOON_US + 2,
         .source = text_of("s1"),
         .target = {3, nul},
         .tags = second,
         .tag_count = 4,
         .status = HR__STATUS__STATUS_IN_PROGRESS},
        {.packet_id = id_number(3),
         .created_us = NOON_US + 2,
         .source = {sizeof longest, (uint8_t *)longest},
         .target = text_of("t1"),
         .tags = third,
         .tag_count = 3,
         .status = HR__STATUS__STATUS_COMPLETED,
         .priority = HR__PRIORITY__PRIORITY_CRITICAL},
        {.packet_id = id_number(4),
         .created_us = NOON_US + 4,
         .tenant = "other",
         .source = text_of("s1"),
         .tags = first,
         .tag_count = 3},
    };
    Hr__ListPackets *request;

    store(wishes, 4);
    cr_assert_str_eq(numbers(list(list_request())), "3 2 1", "newest first, then the larger id");
    cr_assert_str_eq(found_by(STATUS, text_of("created")), "1");
    cr_assert_str_eq(found_by(STATUS, text_of(" created , completed")), "3 1");
    cr_assert_str_eq(found_by(STATUS, text_of("nonsense,created")), "1");
    cr_assert_str_eq(found_by(STATUS, text_of("nonsense")), "");
    cr_assert_str_eq(found_by(STATUS, text_of(",")), "");
    cr_assert_str_eq(found_by(STATUS, text_of("")), "3 2 1", "empty is absent");
    cr_assert_str_eq(found_by(SOURCE, text_of("s1")), "2 1");
    cr_assert_str_eq(found_by(SOURCE, text_of("S1")), "");
    cr_assert_str_eq(found_by(SOURCE, (Text){sizeof longest, (uint8_t *)longest}), "3");
    cr_assert_str_eq(found_by(SOURCE, (Text){sizeof longest - 1, (uint8_t *)longest}), "");
    cr_assert_str_eq(found_by(TARGET, text_of("t1")), "3 1");
    cr_assert_str_eq(found_by(TARGET, (Text){3, nul}), "2");
    cr_assert_str_eq(found_by(TAGS, text_of("red")), "2 1");
    cr_assert_str_eq(found_by(TAGS, text_of("red, blue")), "2");
    cr_assert_str_eq(found_by(TAGS, text_of(" , ,blue,")), "3 2", "empty tags are no filter");
    cr_assert_str_eq(found_by(TAGS, text_of(",")), "3 2 1");
    cr_assert_str_eq(found_by(TAGS, text_of("say \"hi\",back\\slash")), "1");
    cr_assert_str_eq(found_by(TAGS, text_of("{NULL}")), "3");
    cr_assert_str_eq(found_by(TAGS, (Text){3, nul}), "2");
    cr_assert_str_eq(found_by(TAGS, text_of("\x1f")), "2");
    cr_assert_str_eq(found_by(TAGS, (Text){sizeof longest, (uint8_t *)longest}), "3");
    cr_assert_str_eq(found_by(PRIORITY, text_of("critical")), "3");
    cr_assert_str_eq(found_by(PRIORITY, text_of("urgent")), "");

    request = list_request();
    request->created_after = wire_timestamp(lab.arena, NOON_US + 2);
    cr_assert_str_eq(numbers(list(request)), "3 2", "inclusive");
    request->created_before = wire_timestamp(lab.arena, NOON_US + 2);
    cr_assert_str_eq(numbers(list(request)), "3 2");
    set(&request->has_source_agent, &request->source_agent, text_of("s1"));
    set(&request->has_status, &request->status, text_of("in_progress,created"));
    set(&request->has_tags, &request->tags, text_of("blue"));
    set(&request->has_priority, &request->priority, text_of("normal"));
    cr_assert_str_eq(numbers(list(request)), "2", "all filters together");
}

Test(query, pages_by_offset)
{
    struct wish wishes[7] = {0};
    Hr__ListPackets *request = list_request();
    const Hr__PacketPage *page;

    for (uint32_t i = 0; i < 7; i++)
        wishes[i] = (struct wish){.packet_id = id_number(i), .created_us = NOON_US + i};
    store(wishes, 7);
    request->has_limit = 1;
    request->limit = 3;
    request->has_offset = 1;
    request->offset = 3;
    page = list(request);
    cr_assert_str_eq(numbers(page), "3 2 1");
    cr_assert_eq(page->total, 7);
    cr_assert_eq(page->limit, 3);
    cr_assert_eq(page->offset, 3);
    cr_assert(page->has_next_cursor);
    request->offset = 4;
    cr_assert_not(list(request)->has_next_cursor, "exactly the last page");
    request->offset = 100;
    page = list(request);
    cr_assert_eq(page->n_packets, 0);
    cr_assert_eq(page->total, 7);
    cr_assert_not(page->has_next_cursor);
}

// Many share a creation time, so the id has to decide.
static void add_packets(uint32_t first, uint32_t count)
{
    struct wish *wishes = arena_calloc(lab.arena, count, sizeof *wishes);

    for (uint32_t i = 0; i < count; i++)
        wishes[i] = (struct wish){.packet_id = id_number(first + i),
                                  .created_us = NOON_US + (first + i) / 7};
    store(wishes, count);
}

Test(query, a_cursor_meets_every_packet_once_while_others_are_added)
{
    const uint32_t count = 10000;
    bool *seen = calloc(count, sizeof *seen);
    Hr__ListPackets *request = list_request();
    const Hr__PacketPage *page;
    uint32_t added = count;
    int pages = 0;

    for (uint32_t first = 0; first < count; first += 1000)
        add_packets(first, 1000);
    request->has_limit = 1;
    request->limit = 173;
    do {
        page = list(request);
        pages++;
        cr_assert_eq(page->total, count, "the same on every page");
        for (size_t i = 0; i < page->n_packets; i++) {
            const Text id = page->packets[i]->id;
            char digits[9] = "";

            memcpy(digits, id.data + id.len - 8, 8);
            unsigned long number = strtoul(digits, NULL, 16);
            cr_assert_lt(number, count, "what came later sorts before the first page");
            cr_assert(!seen[number], "%lu came twice", number);
            seen[number] = true;
        }
        add_packets(added, 20);
        added += 20;
        set(&request->has_cursor, &request->cursor, page->next_cursor);
    } while (page->has_next_cursor);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(seen[i], "%u is missing", i);
    cr_assert_eq(pages, 58);
    free(seen);
}

Test(query, a_page_of_huge_packets_ends_early_and_says_so)
{
    struct wish wishes[10] = {0};
    Hr__ListPackets *request = list_request();
    const Hr__PacketPage *page;
    size_t met = 0;
    int pages = 0;

    for (uint32_t i = 0; i < 10; i++)
        wishes[i] = (struct wish){.packet_id = id_number(i),
                                  .created_us = NOON_US + i,
                                  .summary_len = i == 5 ? PAGE_BYTES_MAX + 1000 : 1 << 20};
    store(wishes, 10);
    do {
        page = list(request);
        pages++;
        cr_assert_gt(page->n_packets, 0, "however large, one packet is on a page");
        cr_assert_eq(page->total, 10);
        met += page->n_packets;
        set(&request->has_cursor, &request->cursor, page->next_cursor);
    } while (page->has_next_cursor);
    cr_assert_eq(met, 10);
    cr_assert_geq(pages, 3);
}

Test(query, a_bad_cursor_is_refused)
{
    Hr__ListPackets *request = list_request();
    struct answer answer = {0};
    struct problem problem;

    set(&request->has_cursor, &request->cursor, text_of("not-a-cursor"));
    cr_assert_eq(list_packets(lab.pg, TENANT, request, lab.arena, &problem, on_page, &answer),
                 RC_REFUSED);
    cr_assert_eq(problem.code, PROBLEM_INVALID_CURSOR);
    cr_assert(text_is(problem.detail, "\"Invalid cursor\""));
    set(&request->has_cursor, &request->cursor, text_of(""));
    cr_assert_eq(list(request)->n_packets, 0, "empty is absent");
}

// --- search --------------------------------------------------------------------------------------

static void on_found(void *ctx, enum rc rc, const ProtobufCMessage *page)
{
    *(struct answer *)ctx =
        (struct answer){.done = true, .rc = rc, .page = (const Hr__PacketPage *)page};
}

static const Hr__PacketPage *search_for(const char *q, int64_t limit, int64_t offset)
{
    Hr__SearchPackets *request = wire_new(lab.arena, &hr__search_packets__descriptor);
    struct answer answer = {0};

    set(&request->has_q, &request->q, text_of(q));
    request->has_limit = request->has_offset = 1;
    request->limit = limit;
    request->offset = offset;
    cr_assert_eq(search_packets(lab.pg, TENANT, request, lab.arena, on_found, &answer), RC_OK);
    cr_assert(lab_until(&lab, &answer.done, 10000));
    cr_assert_eq(answer.rc, RC_OK);
    return answer.page;
}

// Packets 1 to count, each tagged "needle"; number 1, the oldest, several times.
static void store_needles(uint32_t count)
{
    const Text tags[] = {text_of("needle"), text_of("needle needle"), text_of("needle")};
    struct wish *wishes = calloc(count, sizeof *wishes);

    cr_assert_not_null(wishes);
    for (uint32_t i = 0; i < count; i++)
        wishes[i] =
            (struct wish){.packet_id = id_number(i + 1), .tags = tags, .tag_count = i == 0 ? 3 : 1};
    store(wishes, count);
    free(wishes);
}

Test(query, search_weighs_what_it_finds)
{
    store_needles(900);
    cr_assert_str_eq(numbers(search_for("needle", 3, 0)), "1 900 899");
    cr_assert_eq(search_for("needle", 1, 0)->total, 900);
}

Test(query, of_very_many_search_weighs_the_latest_and_shows_all)
{
    enum { COUNT = 1300 };
    bool seen[COUNT + 1] = {false};
    size_t met = 0;

    store_needles(COUNT);
    cr_assert_str_eq(numbers(search_for("needle", 2, 0)), "1300 1299");
    cr_assert_str_eq(numbers(search_for("needle", 5, COUNT - 2)), "2 1");
    for (int64_t offset = 0; offset < COUNT; offset += 170) {
        const Hr__PacketPage *page = search_for("needle", 170, offset);

        cr_assert_eq(page->total, COUNT);
        for (size_t i = 0; i < page->n_packets; i++) {
            const Text id = page->packets[i]->id;
            long number = strtol((const char *)id.data + id.len - 8, NULL, 16);

            cr_assert_not(seen[number]);
            seen[number] = true;
            met++;
        }
    }
    cr_assert_eq(met, COUNT);
}

Test(query, search_tells_the_total_behind_the_last_page)
{
    const Hr__PacketPage *page;

    store_needles(3);
    page = search_for("needle", 200, INT64_MAX);
    cr_assert(page->n_packets == 0 && page->total == 3);
    page = search_for("needle", 1, 3);
    cr_assert(page->n_packets == 0 && page->total == 3);
    page = search_for("hay", 1, 0);
    cr_assert(page->n_packets == 0 && page->total == 0);
}

static struct answer history(const char *tenant, struct uuid id, bool all)
{
    Hr__GetHistory *request = wire_new(lab.arena, &hr__get_history__descriptor);
    struct answer answer = {0};

    set(&request->has_packet_id, &request->packet_id, text_of(id_text(&lab, &id)));
    request->has_all = all;
    request->all = all;
    cr_assert_eq(history_get(lab.pg, tenant, request, lab.arena, on_history, &answer), RC_OK);
    cr_assert(lab_until(&lab, &answer.done, 5000));
    return answer;
}

Test(query, history_is_exact_and_oldest_first)
{
    static uint8_t nul[] = "agent:a\0b";
    static char longest[3000];
    memset(longest, 'y', sizeof longest);
    const struct wish wishes[] = {
        {.packet_id = id_number(1),                     .actor = {9, nul}, .details = "{\"x\":\"\\u0000\"}"},
        {.packet_id = id_number(2)                    },
        {.packet_id = id_number(1),
         .type = "claimed",
         .actor = {sizeof longest, (uint8_t *)longest},
         .at_us = NOON_US - 5}, // a clock that went back does not change the order
        {.packet_id = id_number(1),                            .type = "updated"                                            },
        {.packet_id = id_number(3),                                             .type = "updated"},
        {.packet_id = id_number(1),                                             .type = "completed",                                                                 .details = "{\"a\": 1.0, \"a\": 2}"                                                                            },
    };
    struct answer answer;

    store(wishes, 6);
    answer = history(TENANT, id_number(1), false);
    cr_assert_eq(answer.rc, RC_OK);
    cr_assert_eq(answer.history->n_events, 3);
    cr_assert(text_is(answer.history->events[0]->event_type, "created"));
    cr_assert(text_equal(answer.history->events[0]->actor, (Text){9, nul}));
    cr_assert(text_is(answer.history->events[0]->details->text, "{\"x\":\"\\u0000\"}"));
    cr_assert(
        text_equal(answer.history->events[1]->actor, (Text){sizeof longest, (uint8_t *)longest}));
    cr_assert_eq(wire_timestamp_us(answer.history->events[1]->timestamp), NOON_US - 5);
    cr_assert(text_is(answer.history->events[2]->details->text, "{\"a\": 1.0, \"a\": 2}"));
    cr_assert_eq(answer.history->events[2]->sequence, 6);
    cr_assert(text_is(answer.history->events[2]->key_id, "key-1"));

    answer = history(TENANT, id_number(1), true);
    cr_assert_eq(answer.history->n_events, 4);
    answer = history(TENANT, id_number(3), false);
    cr_assert_eq(answer.rc, RC_OK, "it exists although it has nothing to show");
    cr_assert_eq(answer.history->n_events, 0);
    cr_assert_eq(history(TENANT, id_number(9), false).rc, RC_NOT_FOUND);
    cr_assert_eq(history("other", id_number(1), false).rc, RC_NOT_FOUND, "another tenant's");
}

static const Hr__AuditPage *audit(const Hr__ListAudit *request)
{
    struct answer answer = {0};

    cr_assert_eq(audit_list(lab.pg, TENANT, request, lab.arena, on_audit, &answer), RC_OK);
    cr_assert(lab_until(&lab, &answer.done, 5000));
    cr_assert_eq(answer.rc, RC_OK);
    return answer.audit;
}

Test(query, audit_is_newest_first_and_filtered)
{
    const struct wish wishes[] = {
        {.packet_id = id_number(1), .actor = text_of("agent:x")},
        {.packet_id = id_number(2), .actor = text_of("agent:y"), .at_us = NOON_US + 2},
        {.packet_id = id_number(1),
         .actor = text_of("agent:y"),
         .type = "claimed",
         .at_us = NOON_US + 3},
        {.packet_id = id_number(1),
         .actor = text_of("agent:y"),
         .type = "updated",
         .at_us = NOON_US + 4},
        {.packet_id = id_number(5), .tenant = "other"                           },
    };
    Hr__ListAudit *request = wire_new(lab.arena, &hr__list_audit__descriptor);
    struct uuid id = id_number(1);
    const Hr__AuditPage *page;

    store(wishes, 5);
    page = audit(request);
    cr_assert_eq(page->total, 4);
    cr_assert_eq(page->n_entries, 4);
    cr_assert_eq(page->limit, 50);
    cr_assert(text_is(page->entries[0]->action, "updated"), "edits are in the audit log");
    cr_assert(text_is(page->entries[3]->action, "created"));
    cr_assert(text_is(page->entries[0]->resource, "packet"));

    set(&request->has_actor, &request->actor, text_of("agent:y"));
    request->has_limit = 1;
    request->limit = 2;
    page = audit(request);
    cr_assert_eq(page->total, 3);
    cr_assert_eq(page->n_entries, 2);
    request->has_offset = 1;
    request->offset = 2;
    page = audit(request);
    cr_assert_eq(page->n_entries, 1);
    cr_assert(text_is(page->entries[0]->action, "created"));

    request->offset = 0;
    set(&request->has_action, &request->action, text_of("claimed"));
    cr_assert_eq(audit(request)->total, 1);
    set(&request->has_packet_id, &request->packet_id, text_of(id_text(&lab, &id)));
    cr_assert_eq(audit(request)->total, 1);
    set(&request->has_packet_id, &request->packet_id, text_of("not a uuid"));
    cr_assert_eq(audit(request)->total, 0);

    request = wire_new(lab.arena, &hr__list_audit__descriptor);
    request->created_after = wire_timestamp(lab.arena, NOON_US + 2);
    request->created_before = wire_timestamp(lab.arena, NOON_US + 3);
    cr_assert_eq(audit(request)->total, 2, "both ends are inclusive");
}

struct passage {
    struct barrier_wait wait;
    bool done;
    enum rc rc;
};

static void on_passed(void *ctx, enum rc rc)
{
    struct passage *passage = ctx;

    cr_assert(!passage->done, "told twice");
    passage->done = true;
    passage->rc = rc;
}

Test(query, the_barrier_opens_when_the_projection_has_passed)
{
    struct barrier *barrier = barrier_open(lab.pg, &lab.loop);
    struct passage passages[6] = {0};
    int64_t start;

    barrier_wait(barrier, &passages[0].wait, 0, 0, on_passed, &passages[0]);
    cr_assert(passages[0].done, "nothing to wait for");
    barrier_wait(barrier, &passages[1].wait, 0, 5, on_passed, &passages[1]);
    barrier_wait(barrier, &passages[2].wait, 0, 3, on_passed, &passages[2]);
    barrier_wait(barrier, &passages[3].wait, 0, 6, on_passed, &passages[3]);
    lab_pause(&lab, 60);
    cr_assert(!passages[1].done && !passages[2].done);
    start = lab_now_ms();
    add_packets(0, 5);
    cr_assert(lab_until(&lab, &passages[1].done, 1000));
    cr_assert(lab_until(&lab, &passages[2].done, 1000));
    cr_assert_lt(lab_now_ms() - start, 200);
    cr_assert_eq(passages[1].rc, RC_OK);
    cr_assert_eq(passages[2].rc, RC_OK);
    cr_assert(!passages[3].done, "not this one");

    start = lab_now_ms();
    cr_assert(lab_until(&lab, &passages[3].done, BARRIER_MS + 500));
    cr_assert_eq(passages[3].rc, RC_TIMEOUT);

    barrier_wait(barrier, &passages[4].wait, 0, 5, on_passed, &passages[4]);
    cr_assert(passages[4].done, "what is known costs no question");
    barrier_wait(barrier, &passages[5].wait, 0, 7, on_passed, &passages[5]);
    barrier_close(barrier);
    cr_assert_eq(passages[5].rc, RC_CLOSED);
}

Test(query, a_new_epoch_closes_the_barrier_again)
{
    struct barrier *barrier = barrier_open(lab.pg, &lab.loop);
    struct passage passages[3] = {0};

    add_packets(0, 10);
    barrier_wait(barrier, &passages[0].wait, 0, 10, on_passed, &passages[0]);
    cr_assert(lab_until(&lab, &passages[0].done, 1000));
    cr_assert_eq(do_epoch(&lab, projection, 4), RC_OK);
    for (int i = 0; i < 100 && (lab.notified == NULL || strcmp(lab.notified, "0 2 4") != 0); i++)
        lab_pause(&lab, 10);
    barrier_on_notify(barrier, lab.notified);
    barrier_wait(barrier, &passages[1].wait, 0, 10, on_passed, &passages[1]);
    lab_pause(&lab, 100);
    cr_assert(!passages[1].done, "10 of the old epoch is not 10 of the new one");
    sequence = 4;
    add_packets(20, 6);
    cr_assert(lab_until(&lab, &passages[1].done, 1000));
    cr_assert_eq(passages[1].rc, RC_OK);

    barrier_on_notify(barrier, "nonsense");
    barrier_on_notify(barrier, "-1 2 3");
    barrier_on_notify(barrier, "99999 2 3");
    barrier_wait(barrier, &passages[2].wait, 0, 99, on_passed, &passages[2]);
    barrier_on_state(barrier, false);
    cr_assert_eq(passages[2].rc, RC_UNAVAILABLE, "at once");
    barrier_close(barrier);
}

Test(query, without_postgres_everything_is_unavailable_at_once)
{
    Hr__ListAudit *request = wire_new(lab.arena, &hr__list_audit__descriptor);
    Hr__GetHistory *get = wire_new(lab.arena, &hr__get_history__descriptor);
    struct barrier *barrier = barrier_open(lab.pg, &lab.loop);
    struct passage passage = {0};
    struct answer answer = {0};
    struct problem problem;
    struct uuid id = id_number(1);

    set(&get->has_packet_id, &get->packet_id, text_of(id_text(&lab, &id)));
    (void)lab_sql(&lab, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'lab' AND datname = current_database()");
    for (int i = 0; i < 100 && lab.up; i++)
        lab_pause(&lab, 1);
    cr_assert_eq(
        list_packets(lab.pg, TENANT, list_request(), lab.arena, &problem, on_page, &answer),
        RC_UNAVAILABLE);
    cr_assert_eq(audit_list(lab.pg, TENANT, request, lab.arena, on_audit, &answer), RC_UNAVAILABLE);
    cr_assert_eq(history_get(lab.pg, TENANT, get, lab.arena, on_history, &answer), RC_UNAVAILABLE);
    barrier_wait(barrier, &passage.wait, 0, 1, on_passed, &passage);
    cr_assert(passage.done);
    cr_assert_eq(passage.rc, RC_UNAVAILABLE);
    cr_assert(!answer.done);
    barrier_close(barrier);
    cr_assert(lab_until(&lab, &lab.up, 5000));
    cr_assert_eq(list(list_request())->n_packets, 0);
}
