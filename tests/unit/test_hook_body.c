#include "workers/webhook/body.h"

#include "messages.h"

#include <criterion/criterion.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(arena);
}

TestSuite(hook_body, .init = set_up, .fini = tear_down);

static Hr__PacketRecord *record_of(const char *type)
{
    Hr__PacketRecord *record = wire_new(arena, &hr__packet_record__descriptor);
    Hr__Metadata *metadata = wire_new(arena, &hr__metadata__descriptor);

    record->event = wire_new(arena, &hr__event__descriptor);
    record->event->type = text_of(type);
    record->event->id = text_of("01a1fd1d-3125-701d-b3ab-f10334f2af4d");
    record->event->at = wire_timestamp(arena, 0);
    record->packet = wire_new(arena, &hr__packet__descriptor);
    record->packet->id = text_of("01a1fd1d-3125-701d-b3ab-000000000000");
    record->packet->status = HR__STATUS__STATUS_CREATED;
    metadata->source_agent = wire_new(arena, &hr__source_agent__descriptor);
    metadata->source_agent->id = text_of("planner");
    metadata->target_agent = wire_new(arena, &hr__target_agent__descriptor);
    metadata->target_agent->id = text_of("coder");
    metadata->tags = arena_calloc(arena, 1, sizeof(Text));
    metadata->tags[0] = text_of("urgent");
    metadata->n_tags = 1;
    record->packet->metadata = metadata;
    return record;
}

static Text *one(const char *text)
{
    Text *list = arena_calloc(arena, 1, sizeof *list);

    list[0] = text_of(text);
    return list;
}

static Hr__Hook *hook_of(const char *event)
{
    Hr__Hook *hook = wire_new(arena, &hr__hook__descriptor);

    hook->events = one(event);
    hook->n_events = 1;
    return hook;
}

Test(hook_body, tells_those_who_ask_for_it)
{
    cr_assert_str_eq(body_wanted(hook_of("packet.created"), record_of("created")),
                     "packet.created");
    cr_assert_str_eq(body_wanted(hook_of("*"), record_of("created")), "packet.created");
    cr_assert_null(body_wanted(hook_of("packet.claimed"), record_of("created")));
    cr_assert_null(body_wanted(hook_of("*"), record_of("heartbeat")));
    cr_assert_str_eq(body_wanted(hook_of("hitl.responded"), record_of("hitl_responded")),
                     "hitl.responded");
    cr_assert_str_eq(body_wanted(hook_of("*"), record_of("hitl_responded")), "hitl.response_ready");
}

Test(hook_body, filters_by_agent_and_tag)
{
    Hr__Hook *hook = hook_of("*");

    hook->n_agents = 1;
    hook->agents = one("coder");
    cr_assert_not_null(body_wanted(hook, record_of("created")));
    hook->agents = one("planner");
    cr_assert_not_null(body_wanted(hook, record_of("created")));
    hook->agents = one("somebody");
    cr_assert_null(body_wanted(hook, record_of("created")));
    hook->n_agents = 0;
    hook->n_tags = 1;
    hook->tags = one("urgent");
    cr_assert_not_null(body_wanted(hook, record_of("created")));
    hook->tags = one("urgen");
    cr_assert_null(body_wanted(hook, record_of("created")));
}

Test(hook_body, is_that_of_the_contract)
{
    Hr__PacketRecord *record = record_of("created");
    Text body;

    body = body_of(arena, "packet.created", record);
    cr_assert(body.len > 100);
    cr_assert_eq(strncmp((const char *)body.data,
                         "{\"event\":\"packet.created\",\"timestamp\":"
                         "\"1970-01-01T00:00:00.000000Z\",\"packet_id\":"
                         "\"01a1fd1d-3125-701d-b3ab-000000000000\",\"status\":\"created\","
                         "\"metadata\":{",
                         150),
                 0);
    cr_assert_null(strstr(arena_copy(arena, body.data, body.len), "\"details\""));
    record->event->details = wire_json(arena, text_of("{\"a\":1}"));
    body = body_of(arena, "packet.created", record);
    cr_assert_not_null(strstr(arena_copy(arena, body.data, body.len), ",\"details\":{\"a\":1}}"));
}

Test(hook_body, names_a_delivery_by_its_hook_and_event)
{
    struct uuid a = body_delivery_id("hook-a", text_of("event"));
    struct uuid same = body_delivery_id("hook-a", text_of("event"));
    struct uuid b = body_delivery_id("hook-b", text_of("event"));
    struct uuid c = body_delivery_id("hook-a", text_of("event2"));

    cr_assert_arr_eq(a.bytes, same.bytes, UUID_BYTES);
    cr_assert_neq(memcmp(a.bytes, b.bytes, UUID_BYTES), 0);
    cr_assert_neq(memcmp(a.bytes, c.bytes, UUID_BYTES), 0);
}
