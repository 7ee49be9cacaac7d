// Whom a hint is for.
#include "broker/rail/inbox.h"

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

TestSuite(inbox, .init = set_up, .fini = tear_down);

static Hr__PacketRecord *record_of(const char *type, Hr__Status status)
{
    Hr__PacketRecord *record = wire_new(memory, &hr__packet_record__descriptor);

    record->event = wire_new(memory, &hr__event__descriptor);
    record->event->type = text_of(type);
    record->packet = wire_new(memory, &hr__packet__descriptor);
    record->packet->status = status;
    record->packet->metadata = wire_new(memory, &hr__metadata__descriptor);
    record->packet->metadata->target_agent = wire_new(memory, &hr__target_agent__descriptor);
    record->packet->metadata->target_agent->id = text_of("coder");
    return record;
}

Test(inbox, is_the_target_of_an_open_packet)
{
    ASSERT_TEXT(inbox_agent(record_of("created", HR__STATUS__STATUS_CREATED)), "coder");
    ASSERT_TEXT(inbox_agent(record_of("lease_expired", HR__STATUS__STATUS_CREATED)), "coder");
}

Test(inbox, is_nobody_when_nothing_has_come_up)
{
    cr_assert_eq(inbox_agent(record_of("updated", HR__STATUS__STATUS_CREATED)).len, 0);
    cr_assert_eq(inbox_agent(record_of("claimed", HR__STATUS__STATUS_CLAIMED)).len, 0);
    cr_assert_eq(inbox_agent(record_of("created", HR__STATUS__STATUS_AWAITING_HUMAN)).len, 0);
}

Test(inbox, is_who_an_answered_packet_is_kept_for)
{
    Hr__PacketRecord *record = record_of("hitl_responded", HR__STATUS__STATUS_CLAIMED);

    record->packet->claim = wire_new(memory, &hr__claim__descriptor);
    cr_assert_eq(inbox_agent(record).len, 0);
    record->packet->claim->has_reserved = true;
    record->packet->claim->reserved = true;
    ASSERT_TEXT(inbox_agent(record), "coder");
}
