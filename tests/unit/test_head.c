// A record's head: what is left reads as before, what is carried is gone.
#include "broker/packet/summary.h"

#include "tests/unit/messages.h"

#include <criterion/criterion.h>

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(16 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(head, .init = set_up, .fini = tear_down);

static Hr__PacketRecord *record_of(const char *packet_json)
{
    Hr__PacketRecord *record = wire_new(memory, &hr__packet_record__descriptor);
    Hr__Change *change = wire_new(memory, &hr__change__descriptor);

    record->event = wire_new(memory, &hr__event__descriptor);
    record->event->has_type = true;
    record->event->type = text_of("created");
    record->packet = (Hr__Packet *)message_of(memory, &hr__packet__descriptor, packet_json);
    record->recent = arena_calloc(memory, 1, sizeof(void *));
    record->recent[0] = change;
    record->n_recent = 1;
    return record;
}

static Hr__PacketRecord *read_back(Text bytes)
{
    ProtobufCMessage *message;

    cr_assert_eq(
        wire_unpack(&message, memory, &hr__packet_record__descriptor, bytes.data, bytes.len),
        RC_OK);
    return (Hr__PacketRecord *)message;
}

#define STATE                                                                                      \
    "\"id\":\"0190b5a2-7c3e-7def-8123-456789abcdef\",\"version\":\"1.0.0\","                       \
    "\"metadata\":{\"source_agent\":{\"id\":\"a\",\"name\":\"A\"},\"target_agent\":{\"id\":\"b\"," \
    "\"name\":\"B\"},\"tags\":[\"t\"]},\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":5},"         \
    "\"status\":\"awaiting_human\",\"created_at\":\"2026-11-21T00:00:00Z\","                       \
    "\"updated_at\":\"2026-11-21T00:00:00Z\",\"declined\":[{\"agent_id\":\"c\",\"at\":0}]"

Test(head, keeps_the_state_and_drops_what_is_carried)
{
    Hr__PacketRecord *whole = record_of(
        "{" STATE ",\"context\":{\"summary\":\"long\",\"artifacts\":[{\"key\":\"k\","
        "\"value\":\"v\"}]},\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":"
        "\"\"}],\"actions\":{},\"dependencies\":[],\"lineage\":{\"root_id\":\"x\",\"hops\":1}}");
    whole->packet->extra = wire_json(memory, text_of("{\"a\":1}"));
    Text bytes = wire_pack(memory, &whole->base);
    Text head = head_of(memory, bytes.data, bytes.len);
    Hr__PacketRecord *left = read_back(head);

    cr_assert_lt(head.len, bytes.len);
    cr_assert_null(left->packet->context);
    cr_assert_null(left->packet->actions);
    cr_assert_null(left->packet->lineage);
    cr_assert_null(left->packet->extra);
    cr_assert_eq(left->packet->n_decisions + left->n_recent, 0);
    ASSERT_TEXT(left->event->type, "created");
    whole->packet->context = NULL;
    whole->packet->actions = NULL;
    whole->packet->lineage = NULL;
    whole->packet->extra = NULL;
    whole->packet->n_decisions = 0;
    cr_assert_str_eq(json_text_of(memory, &left->packet->base),
                     json_text_of(memory, &whole->packet->base));
}

Test(head, of_what_is_no_record_is_that)
{
    static const uint8_t bad[] = {0x12, 0x7F, 0x00};
    static const uint8_t cut[] = {0x0A};

    cr_assert_eq(head_of(memory, bad, sizeof bad).data, bad);
    cr_assert_eq(head_of(memory, cut, sizeof cut).data, cut);
    cr_assert_eq(head_of(memory, "", 0).len, 0);
}

Test(head, of_every_beginning_of_a_record_is_read_or_refused_without_harm)
{
    Hr__PacketRecord *whole = record_of("{" STATE ",\"context\":{\"summary\":\"s\"}}");
    Text bytes = wire_pack(memory, &whole->base);

    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_leq(head_of(memory, bytes.data, len).len, len);
}
