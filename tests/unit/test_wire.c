#include "broker/message/wire.h"

#include "broker/base/timestamp.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(wire, .init = set_up, .fini = tear_down);

static const ProtobufCEnumDescriptor *const enums[] = {
    &hr__status__descriptor,
    &hr__priority__descriptor,
    &hr__role__descriptor,
    &hr__dependency_type__descriptor,
    &hr__dependency_status__descriptor,
    &hr__claim_policy__descriptor,
};

Test(wire, reads_every_name_of_every_enum_back)
{
    for (size_t e = 0; e < sizeof enums / sizeof enums[0]; e++) {
        for (unsigned i = 1; i < enums[e]->n_values; i++) {
            char name[ENUM_TEXT_BYTES];
            int value = 0;

            cr_assert_not_null(wire_enum_text(name, enums[e], enums[e]->values[i].value));
            cr_assert(wire_enum_parse(enums[e], name, strlen(name), &value), "%s", name);
            cr_assert_eq(value, enums[e]->values[i].value);
        }
    }
}

Test(wire, names_values_as_the_contract_does)
{
    char name[ENUM_TEXT_BYTES];

    cr_assert_str_eq(wire_enum_text(name, &hr__status__descriptor, 3), "in_progress");
    cr_assert_str_eq(wire_enum_text(name, &hr__dependency_type__descriptor, 3), "human_approval");
    cr_assert_str_eq(wire_enum_choices(memory, &hr__role__descriptor),
                     "'user', 'agent', 'system', 'human', 'assistant', 'tool' or 'developer'");
    cr_assert_str_eq(wire_enum_choices(memory, &hr__claim_policy__descriptor),
                     "'open' or 'addressed'");
}

Test(wire, knows_no_other_names_and_values)
{
    static const char *const wrong[] = {"",         "unspecified",    "Claimed", "CLAIMED",
                                        "claimed ", "STATUS_CLAIMED", "claime"};
    char name[ENUM_TEXT_BYTES];
    int value = 42;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not(wire_enum_parse(&hr__status__descriptor, wrong[i], strlen(wrong[i]), &value),
                      "%s", wrong[i]);
    cr_assert_eq(value, 42);
    cr_assert_null(wire_enum_text(name, &hr__status__descriptor, 8));
    cr_assert_null(wire_enum_text(name, &hr__status__descriptor, -1));
}

Test(wire, carries_moments_before_1970_too)
{
    static const int64_t moments[] = {0,
                                      1,
                                      -1,
                                      -999999,
                                      -1000000,
                                      -1000001,
                                      1795210145634694,
                                      TIMESTAMP_MIN_US,
                                      TIMESTAMP_MAX_US};

    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        Google__Protobuf__Timestamp *timestamp = wire_timestamp(memory, moments[i]);

        cr_assert_geq(timestamp->nanos, 0);
        cr_assert_lt(timestamp->nanos, 1000000000);
        cr_assert_eq(wire_timestamp_us(timestamp), moments[i]);
    }
    cr_assert_eq(wire_timestamp_us(NULL), 0);
}

Test(wire, clamps_moments_that_nobody_can_write)
{
    static const struct {
        int64_t seconds;
        int32_t nanos;
        int64_t us;
    } cases[] = {
        {INT64_MAX,    INT32_MAX, TIMESTAMP_MAX_US},
        {INT64_MIN,    INT32_MIN, TIMESTAMP_MIN_US},
        {253402300799, INT32_MAX, TIMESTAMP_MAX_US},
        {253402300800, 0,         TIMESTAMP_MAX_US},
        {-62135596800, INT32_MIN, TIMESTAMP_MIN_US},
        {-62135596801, 999999999, TIMESTAMP_MIN_US},
        {5,            -1,        5000000         },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

        timestamp.seconds = cases[i].seconds;
        timestamp.nanos = cases[i].nanos;
        cr_assert_eq(wire_timestamp_us(&timestamp), cases[i].us, "%zu", i);
    }
}

Test(wire, refuses_bytes_that_are_no_message)
{
    static const char *const wrong[] = {"\x0a", "\x0a\x05x",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0b",
                                        "\x12\x02\x0a\x05"};
    ProtobufCMessage *message = NULL;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(wire_unpack(&message, memory, &hr__create_packet__descriptor, wrong[i],
                                 strlen(wrong[i])),
                     RC_INVALID, "%zu", i);
    cr_assert_null(message);
}

Test(wire, reads_no_bytes_as_an_empty_message)
{
    ProtobufCMessage *message;

    cr_assert_eq(wire_unpack(&message, memory, &hr__claim_packet__descriptor, NULL, 0), RC_OK);
    cr_assert_not(((Hr__ClaimPacket *)message)->has_agent_id);
}

Test(wire, gives_messages_that_do_not_point_into_their_bytes)
{
    ProtobufCMessage *message;
    char bytes[] = "\x12\x01x";

    cr_assert_eq(wire_unpack(&message, memory, &hr__claim_packet__descriptor, bytes, 3), RC_OK);
    memset(bytes, 0, sizeof bytes);
    ASSERT_TEXT(((Hr__ClaimPacket *)message)->agent_id, "x");
}

Test(wire, knows_which_messages_are_bare_lists)
{
    cr_assert(wire_is_list(&hr__string_list__descriptor));
    cr_assert(wire_is_list(&hr__decision_list__descriptor));
    cr_assert_not(wire_is_list(&hr__json__descriptor));
    cr_assert_not(wire_is_list(&hr__actions__descriptor));
    cr_assert_not(wire_is_list(&hr__empty__descriptor));
}
