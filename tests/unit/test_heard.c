// What a change is called where others hear of it.
#include "broker/packet/event_names.h"

#include "tests/unit/messages.h"

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(heard, .init = set_up, .fini = tear_down);

static Hr__PacketRecord *record_of(const char *type, Hr__Status status)
{
    Hr__PacketRecord *record = wire_new(memory, &hr__packet_record__descriptor);

    record->event = wire_new(memory, &hr__event__descriptor);
    record->event->type = text_of(type);
    record->packet = wire_new(memory, &hr__packet__descriptor);
    record->packet->status = status;
    return record;
}

Test(heard, has_the_name_of_the_contract)
{
    struct heard heard;

    cr_assert(heard_as(&heard, record_of("claimed", HR__STATUS__STATUS_CLAIMED)));
    cr_assert_str_eq(heard.name, "packet.claimed");
    cr_assert_null(heard.also);
}

Test(heard, tells_of_an_answer_under_both_names)
{
    struct heard heard;

    cr_assert(heard_as(&heard, record_of("hitl_responded", HR__STATUS__STATUS_CLAIMED)));
    cr_assert_str_eq(heard.name, "hitl.response_ready");
    cr_assert_str_eq(heard.also, "hitl.responded");
}

Test(heard, tells_of_a_packet_that_stops_for_a_human)
{
    struct heard heard;

    cr_assert(heard_as(&heard, record_of("created", HR__STATUS__STATUS_AWAITING_HUMAN)));
    cr_assert_str_eq(heard.name, "packet.created");
    cr_assert_str_eq(heard.also, "hitl.requested");
    cr_assert(heard_as(&heard, record_of("updated", HR__STATUS__STATUS_AWAITING_HUMAN)));
    cr_assert_null(heard.also);
}

Test(heard, tells_of_a_child_as_of_a_chain)
{
    Hr__PacketRecord *record = record_of("created", HR__STATUS__STATUS_CREATED);
    struct heard heard;

    record->event->details = wire_json(memory, text_of("{\"chain\":true}"));
    cr_assert(heard_as(&heard, record));
    cr_assert_str_eq(heard.name, "packet.chained");
    record->event->details = wire_json(memory, text_of("{}"));
    cr_assert(heard_as(&heard, record));
    cr_assert_str_eq(heard.name, "packet.created");
}

Test(heard, keeps_quiet_about_the_rest)
{
    struct heard heard;

    cr_assert_not(heard_as(&heard, record_of("heartbeat", HR__STATUS__STATUS_CLAIMED)));
    cr_assert_not(heard_as(&heard, record_of("archived", HR__STATUS__STATUS_COMPLETED)));
    cr_assert_not(heard_as(&heard, record_of("", HR__STATUS__STATUS_CREATED)));
}

Test(heard, names_each_once)
{
    for (size_t i = 0; heard_name(i) != NULL; i++) {
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(heard_name(i), heard_name(j));
    }
}
