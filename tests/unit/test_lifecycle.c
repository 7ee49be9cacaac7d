#include "broker/packet/lifecycle.h"

#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

#define FIRST HR__STATUS__STATUS_CREATED
#define LAST HR__STATUS__STATUS_EXPIRED

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(lifecycle, .init = set_up, .fini = tear_down);

static bool is_last(const struct edge *edge)
{
    return edge->move == MOVES;
}

Test(lifecycle, has_no_two_rows_that_start_alike)
{
    for (const struct edge *a = lifecycle_edges; !is_last(a); a++) {
        for (const struct edge *b = lifecycle_edges; b < a; b++)
            cr_assert_not(a->from == b->from && a->move == b->move);
    }
}

Test(lifecycle, ends_only_in_expired)
{
    for (int status = FIRST; status <= LAST; status++) {
        bool way_out = false;

        for (const struct edge *edge = lifecycle_edges; !is_last(edge); edge++)
            way_out = way_out || (int)edge->from == status;
        cr_assert_eq(way_out, status != LAST, "%d", status);
    }
}

Test(lifecycle, reaches_every_status_and_returns_to_none_by_itself)
{
    bool reached[LAST + 1] = {[HR__STATUS__STATUS_UNSPECIFIED] = true};
    bool more = true;

    while (more) {
        more = false;
        for (const struct edge *edge = lifecycle_edges; !is_last(edge); edge++) {
            cr_assert_neq((int)edge->from, (int)edge->to);
            cr_assert_neq((int)edge->to, (int)HR__STATUS__STATUS_UNSPECIFIED);
            if (reached[edge->from] && !reached[edge->to])
                reached[edge->to] = more = true;
        }
    }
    for (int status = FIRST; status <= LAST; status++)
        cr_assert(reached[status], "%d", status);
}

// What the contract says and where we differ from it on purpose, written out once more.
Test(lifecycle, is_the_table_of_the_contract)
{
    static const struct {
        Hr__Status from;
        const char *to;
    } rows[] = {
        {HR__STATUS__STATUS_CREATED,        "['claimed', 'awaiting_human', 'failed', 'expired']"  },
        {HR__STATUS__STATUS_CLAIMED,
         "['in_progress', 'completed', 'awaiting_human', 'failed', 'expired']"                    },
        {HR__STATUS__STATUS_IN_PROGRESS,    "['completed', 'awaiting_human', 'failed', 'expired']"},
        {HR__STATUS__STATUS_AWAITING_HUMAN, "['failed', 'expired']"                               },
        {HR__STATUS__STATUS_COMPLETED,      "['expired']"                                         },
        {HR__STATUS__STATUS_FAILED,         "['expired']"                                         },
        {HR__STATUS__STATUS_EXPIRED,        "[]"                                                  },
        {HR__STATUS__STATUS_UNSPECIFIED,    "[]"                                                  },
        {(Hr__Status)99,                    "[]"                                                  },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_str_eq(lifecycle_choices(rows[i].from, memory), rows[i].to);
}

Test(lifecycle, has_one_move_for_every_status_a_client_may_name)
{
    for (int status = FIRST; status <= LAST; status++) {
        enum move move = MOVES;

        if (status == FIRST) {
            cr_assert_not(lifecycle_move_to((Hr__Status)status, &move));
            continue;
        }
        cr_assert(lifecycle_move_to((Hr__Status)status, &move));
        // Whatever the packet is, that move leads there and nowhere else.
        for (const struct edge *edge = lifecycle_edges; !is_last(edge); edge++)
            cr_assert(edge->move != move || (int)edge->to == status);
    }
}

static Hr__Packet *packet_in(Hr__Status status)
{
    Hr__Packet *packet = wire_new(memory, &hr__packet__descriptor);

    packet->has_status = status != HR__STATUS__STATUS_UNSPECIFIED;
    packet->status = status;
    packet->metadata = wire_new(memory, &hr__metadata__descriptor);
    packet->metadata->target_agent = wire_new(memory, &hr__target_agent__descriptor);
    packet->claim = wire_new(memory, &hr__claim__descriptor);
    return packet;
}

Test(lifecycle, makes_a_move_exactly_when_the_table_has_it)
{
    for (int from = 0; from <= LAST + 1; from++) {
        for (int move = 0; move < MOVES; move++) {
            Hr__Packet *packet = packet_in((Hr__Status)from);
            const struct edge *found = NULL;
            enum rc rc;

            for (const struct edge *edge = lifecycle_edges; !is_last(edge); edge++) {
                if ((int)edge->from == from && (int)edge->move == move)
                    found = edge;
            }
            cr_assert_eq(lifecycle_allows((Hr__Status)from, (enum move)move), found != NULL);
            rc = lifecycle_step(packet, (enum move)move, 1, memory);
            cr_assert_eq(rc, found != NULL ? RC_OK : RC_REFUSED);
            cr_assert_eq((int)packet->status, found != NULL ? (int)found->to : from);
            if (found == NULL) {
                cr_assert_not_null(packet->claim, "nothing changed");
                cr_assert_null(packet->metadata->claimed_at);
                cr_assert_null(packet->metadata->completed_at);
            }
        }
    }
}

Test(lifecycle, writes_the_stamps_that_go_with_a_move)
{
    Hr__Packet *packet = packet_in(HR__STATUS__STATUS_CREATED);

    packet->claim = NULL;
    cr_assert_eq(lifecycle_step(packet, MOVE_CLAIM, 1000, memory), RC_OK);
    cr_assert_eq(wire_timestamp_us(packet->metadata->claimed_at), 1000);
    cr_assert_eq(wire_timestamp_us(packet->claim->claimed_at), 1000);
    cr_assert_eq(packet->claim->holder, packet->metadata->target_agent);
    cr_assert_not(packet->claim->has_generation, "it is the sequence of a record to come");
    cr_assert_eq(lifecycle_step(packet, MOVE_START, 2000, memory), RC_OK);
    cr_assert_not_null(packet->claim, "its holder goes on");
    cr_assert_eq(wire_timestamp_us(packet->metadata->claimed_at), 1000);
    cr_assert_eq(lifecycle_step(packet, MOVE_COMPLETE, 3000, memory), RC_OK);
    cr_assert_null(packet->claim);
    cr_assert_eq(wire_timestamp_us(packet->metadata->completed_at), 3000);
    cr_assert_eq(lifecycle_step(packet, MOVE_EXPIRE, 4000, memory), RC_OK);
    cr_assert_eq(wire_timestamp_us(packet->metadata->completed_at), 3000);
}

Test(lifecycle, ends_a_claim_with_every_move_but_a_start)
{
    static const enum move moves[] = {MOVE_ASK, MOVE_COMPLETE, MOVE_FAIL, MOVE_EXPIRE};

    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        Hr__Packet *packet = packet_in(HR__STATUS__STATUS_IN_PROGRESS);

        cr_assert_eq(lifecycle_step(packet, moves[i], 1, memory), RC_OK);
        cr_assert_null(packet->claim);
    }
}
