#include "broker/message/json_read.h"

#include "broker/message/json_write.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREATE &hr__create_packet__descriptor
#define UPDATE &hr__update_packet__descriptor
#define CLAIM &hr__claim_packet__descriptor

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(64 * 1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(json_read, .init = set_up, .fini = tear_down);

// --- refusals ------------------------------------------------------------------------------------

struct refusal {
    const ProtobufCMessageDescriptor *request;
    const char *json;
    const char *detail;
};

static void assert_refusals(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_str_eq(refusal_of(memory, cases[i].request, cases[i].json), cases[i].detail,
                         "%s\n  gives %s\n  not   %s", cases[i].json,
                         refusal_of(memory, cases[i].request, cases[i].json), cases[i].detail);
}

#define ASSERT_REFUSALS(cases) assert_refusals(cases, sizeof(cases) / sizeof(cases)[0])

// One item with the body's path.
#define ITEM(type, loc, msg, rest)                                                                 \
    "{\"type\":\"" type "\",\"loc\":[\"body\"" loc "],\"msg\":\"" msg "\"" rest "}"
#define ONLY(type, loc, msg, rest) "[" ITEM(type, loc, msg, rest) "]"
#define INPUT(json) ",\"input\":" json

#define MODEL "Input should be a valid dictionary or object to extract fields from"
#define DATETIME "Input should be a valid datetime or date, "

Test(json_read, says_what_is_missing_and_of_which_object)
{
    static const struct refusal cases[] = {
        {CLAIM,  "",                                 ONLY("missing", "",                               "Field required", INPUT("null"))                },
        {CLAIM,  " \r\n\t",                          ONLY("missing", "",                               "Field required", INPUT("null"))                },
        {CLAIM,  "\xef\xbb\xbf",                     ONLY("missing", "",                               "Field required", INPUT("null"))                },
        {CLAIM,  "null",                             ONLY("missing", "",                               "Field required", INPUT("null"))                },
        {CLAIM,  "{\"agent_id\":\"a\"}",
         ONLY("missing",                                             ",\"agent_name\"",                "Field required", INPUT("{\"agent_id\":\"a\"}"))},
        {UPDATE, "{\"context\" : {\"custom\":{}} }",
         ONLY("missing",                                             ",\"context\",\"summary\"",       "Field required", INPUT("{\"custom\":{}}"))     },
        {UPDATE,
         "{\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":\"\"},"
         "{\"id\":\"2\",\"decision\":\"d\"}]}",      ONLY("missing", ",\"decisions\",1,\"rationale\"", "Field required",
         INPUT("{\"id\":\"2\",\"decision\":\"d\"}"))                                                                                                   },
        {UPDATE, "{\"hitl\":{}}",
         ONLY("missing",                                             ",\"hitl\",\"reason\"",           "Field required", INPUT("{}"))                  },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_a_body_that_is_no_object)
{
    static const struct refusal cases[] = {
        {CLAIM, "[]",      ONLY("model_attributes_type", "", MODEL, INPUT("[]"))    },
        {CLAIM, " [1, 2]", ONLY("model_attributes_type", "", MODEL, INPUT("[1, 2]"))},
        {CLAIM, "\"x\"",   ONLY("model_attributes_type", "", MODEL, INPUT("\"x\"")) },
        {CLAIM, "true",    ONLY("model_attributes_type", "", MODEL, INPUT("true"))  },
        {CLAIM, "5 ",      ONLY("model_attributes_type", "", MODEL, INPUT("5"))     },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, takes_only_strings_for_strings)
{
    static const struct refusal cases[] = {
        {CLAIM,  "{\"agent_id\":5,\"agent_name\":true}",
         "[" ITEM("string_type",                                                             ",\"agent_id\"",                       "Input should be a valid string",
         INPUT("5")) "," ITEM("string_type",                                                                                                                                                                 ",\"agent_name\"",
         "Input should be a valid string",                                                                                                                                                   INPUT("true")) "]"         },
        {CLAIM,  "{\"agent_id\":null,\"agent_name\":{\"a\" : [1]}}",
         "[" ITEM("string_type",                                                             ",\"agent_id\"",                       "Input should be a valid string",
         INPUT("null")) "," ITEM("string_type",                                                                                                                                                              ",\"agent_name\"",
         "Input should be a valid string",                                                                                                                                                   INPUT("{\"a\" : [1]}")) "]"},
        {UPDATE,
         "{\"decisions\":[{\"id\":\"1\",\"decision\":\"d\",\"rationale\":\"\",\"alternatives\":"
         "[\"a\",1.50 ,null]}]}",                                    "[" ITEM("string_type", ",\"decisions\",0,\"alternatives\",1",
         "Input should be a valid string",                                                                                                                            INPUT("1.50")) "," ITEM("string_type",
         ",\"decisions\",0,"
                                                                            "\"alternatives\",2",                                                                                                                               "Input should be a "
                                                                            "valid string", INPUT("null")) "]"         },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_unknown_names_and_lists_the_known_ones)
{
#define STATUSES                                                                                   \
    "'created', 'claimed', 'in_progress', 'awaiting_human', 'completed', 'failed' or 'expired'"
#define STATUS_ITEM(input)                                                                         \
    ONLY("enum", ",\"status\"", "Input should be " STATUSES,                                       \
         INPUT(input) ",\"ctx\":{\"expected\":\"" STATUSES "\"}")
    static const struct refusal cases[] = {
        {UPDATE, "{\"status\":\"done\"}",        STATUS_ITEM("\"done\"")       },
        {UPDATE, "{\"status\":\"Claimed\"}",     STATUS_ITEM("\"Claimed\"")    },
        {UPDATE, "{\"status\":\"unspecified\"}", STATUS_ITEM("\"unspecified\"")},
        {UPDATE, "{\"status\":\"\"}",            STATUS_ITEM("\"\"")           },
        {UPDATE, "{\"status\":2}",               STATUS_ITEM("2")              },
        {UPDATE, "{\"status\":[\"claimed\"]}",   STATUS_ITEM("[\"claimed\"]")  },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_what_is_no_list)
{
    static const struct refusal cases[] = {
        {UPDATE, "{\"decisions\":{}}",
         ONLY("list_type",             ",\"decisions\"",             "Input should be a valid list", INPUT("{}"))  },
        {UPDATE, "{\"actions\":{\"pending\":\"x\"}}",
         ONLY("list_type",             ",\"actions\",\"pending\"",   "Input should be a valid list",
         INPUT("\"x\""))                                                                                           },
        {UPDATE, "{\"context\":{\"summary\":\"\",\"artifacts\":null}}",
         ONLY("list_type",             ",\"context\",\"artifacts\"", "Input should be a valid list",
         INPUT("null"))                                                                                            },
        {UPDATE, "{\"decisions\":[5]}",
         ONLY("model_attributes_type", ",\"decisions\",0",           MODEL,                          INPUT("5"))   },
        {UPDATE, "{\"decisions\":[null]}",
         ONLY("model_attributes_type", ",\"decisions\",0",           MODEL,                          INPUT("null"))},
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_what_is_no_object)
{
    static const struct refusal cases[] = {
        {UPDATE, "{\"context\":\"x\"}",
         ONLY("model_attributes_type", ",\"context\"",                           MODEL,                                INPUT("\"x\""))},
        {UPDATE, "{\"context\":{\"summary\":\"\",\"custom\":[ 1 ]}}",
         ONLY("dict_type",             ",\"context\",\"custom\"",                "Input should be a valid dictionary",
         INPUT("[ 1 ]"))                                                                                                              },
        {UPDATE, "{\"context\":{\"summary\":\"\",\"custom\":null}}",
         ONLY("dict_type",             ",\"context\",\"custom\"",                "Input should be a valid dictionary",
         INPUT("null"))                                                                                                               },
        {UPDATE, "{\"context\":{\"summary\":\"\",\"artifacts\":[{\"key\":\"k\",\"value\":5 }]}}",
         ONLY("compound_type",         ",\"context\",\"artifacts\",0,\"value\"",
         "Input should be a string, an object or a list",                                                              INPUT("5"))    },
        {UPDATE, "{\"context\":{\"summary\":\"\",\"artifacts\":[{\"key\":\"k\",\"value\":null}]}}",
         ONLY("compound_type",         ",\"context\",\"artifacts\",0,\"value\"",
         "Input should be a string, an object or a list",                                                              INPUT("null")) },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, treats_null_like_a_wrong_type_where_it_is_not_allowed)
{
    const char *json = "{\"metadata\":null,\"context\":null,\"decisions\":null,\"actions\":null,"
                       "\"dependencies\":null,\"hitl\":null,\"schema_id\":null,"
                       "\"parent_packet_id\":null}";

    cr_assert_str_eq(
        refusal_of(memory, CREATE, json),
        "[" ITEM("model_attributes_type", ",\"metadata\"", MODEL, INPUT("null")) "," ITEM(
            "model_attributes_type", ",\"context\"", MODEL,
            INPUT("null")) "," ITEM("list_type", ",\"decisions\"", "Input should be a valid list",
                                    INPUT(
                                        "null")) "," ITEM("model_attributes_type", ",\"actions\"",
                                                          MODEL,
                                                          INPUT(
                                                              "null")) "," ITEM("list_type",
                                                                                ",\"dependencies\"",
                                                                                "Input should be a "
                                                                                "valid list",
                                                                                INPUT("null")) "]");
    cr_assert_str_eq(
        refusal_of(memory, UPDATE, "{\"hitl\":{\"required\":null,\"reason\":null}}"),
        "[" ITEM("bool_type", ",\"hitl\",\"required\"", "Input should be a valid boolean",
                 INPUT("null")) "," ITEM("string_type", ",\"hitl\",\"reason\"",
                                         "Input should be a valid string", INPUT("null")) "]");
}

Test(json_read, refuses_booleans_that_are_none)
{
#define BOOL_ITEM(type, more, input)                                                               \
    ONLY(type, ",\"hitl\",\"required\"", "Input should be a valid boolean" more, INPUT(input))
#define HITL(required) "{\"hitl\":{\"required\":" required ",\"reason\":\"r\"}}"
    static const struct refusal cases[] = {
        {UPDATE, HITL("2"),         BOOL_ITEM("bool_parsing", ", unable to interpret input", "2")        },
        {UPDATE, HITL("0.5"),       BOOL_ITEM("bool_parsing", ", unable to interpret input", "0.5")      },
        {UPDATE, HITL("1e400"),     BOOL_ITEM("bool_parsing", ", unable to interpret input", "1e400")    },
        {UPDATE, HITL("\"\""),      BOOL_ITEM("bool_parsing", ", unable to interpret input", "\"\"")     },
        {UPDATE, HITL("\"maybe\""),
         BOOL_ITEM("bool_parsing",                            ", unable to interpret input", "\"maybe\"")},
        {UPDATE, HITL("\" 1\""),
         BOOL_ITEM("bool_parsing",                            ", unable to interpret input", "\" 1\"")   },
        {UPDATE, HITL("[]"),        BOOL_ITEM("bool_type",    "",                            "[]")       },
        {UPDATE, HITL("{}"),        BOOL_ITEM("bool_type",    "",                            "{}")       },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_integers_that_are_none)
{
#define TIMEOUT(value) "{\"hitl\":{\"reason\":\"r\",\"timeout_seconds\":" value "}}"
#define INT_ITEM(type, more, input)                                                                \
    ONLY(type, ",\"hitl\",\"timeout_seconds\"", "Input should be a valid integer" more,            \
         INPUT(input))
#define UNABLE ", unable to parse string as an integer"
#define FRACTION ", got a number with a fractional part"
    static const struct refusal cases[] = {
        {UPDATE, TIMEOUT("1.5"),                 INT_ITEM("int_from_float", FRACTION, "1.5")                },
        {UPDATE, TIMEOUT("-1e-3"),               INT_ITEM("int_from_float", FRACTION, "-1e-3")              },
        {UPDATE, TIMEOUT("1e400"),               INT_ITEM("int_parsing",    UNABLE,   "1e400")              },
        {UPDATE, TIMEOUT("9223372036854775808"),
         INT_ITEM("int_parsing",                                            UNABLE,   "9223372036854775808")},
        {UPDATE, TIMEOUT("\"\""),                INT_ITEM("int_parsing",    UNABLE,   "\"\"")               },
        {UPDATE, TIMEOUT("\"x\""),               INT_ITEM("int_parsing",    UNABLE,   "\"x\"")              },
        {UPDATE, TIMEOUT("\"1 2\""),             INT_ITEM("int_parsing",    UNABLE,   "\"1 2\"")            },
        {UPDATE, TIMEOUT("\"0x10\""),            INT_ITEM("int_parsing",    UNABLE,   "\"0x10\"")           },
        {UPDATE, TIMEOUT("\"nan\""),             INT_ITEM("int_parsing",    UNABLE,   "\"nan\"")            },
        {UPDATE, TIMEOUT("\"inf\""),             INT_ITEM("int_parsing",    UNABLE,   "\"inf\"")            },
        {UPDATE, TIMEOUT("\"5\\u0000x\""),       INT_ITEM("int_parsing",    UNABLE,   "\"5\\u0000x\"")      },
        {UPDATE, TIMEOUT("\"_5\""),              INT_ITEM("int_parsing",    UNABLE,   "\"_5\"")             },
        {UPDATE, TIMEOUT("\"5_\""),              INT_ITEM("int_parsing",    UNABLE,   "\"5_\"")             },
        {UPDATE, TIMEOUT("\"5__0\""),            INT_ITEM("int_parsing",    UNABLE,   "\"5__0\"")           },
        {UPDATE, TIMEOUT("[5]"),                 INT_ITEM("int_type",       "",       "[5]")                },
        {UPDATE, TIMEOUT("{}"),                  INT_ITEM("int_type",       "",       "{}")                 },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_moments_that_are_none)
{
#define STAMPED(value)                                                                             \
    "{\"context\":{\"summary\":\"s\",\"conversation_state\":[{\"role\":\"user\",\"content\":"      \
    "\"c\",\"timestamp\":" value "}]}}"
#define WHEN ",\"context\",\"conversation_state\",0,\"timestamp\""
#define REASON(text) ",\"ctx\":{\"error\":\"" text "\"}"
    static const struct refusal cases[] = {
        {UPDATE, STAMPED("true"),
         ONLY("datetime_type",              WHEN, "Input should be a valid datetime", INPUT("true"))},
        {UPDATE, STAMPED("[]"),
         ONLY("datetime_type",              WHEN, "Input should be a valid datetime", INPUT("[]"))  },
        {UPDATE, STAMPED("\"2026-02-30\""),
         ONLY("datetime_from_date_parsing", WHEN, DATETIME "date is out of range",
         INPUT("\"2026-02-30\"") REASON("date is out of range"))                                    },
        {UPDATE, STAMPED("1e300"),
         ONLY("datetime_from_date_parsing", WHEN, DATETIME "number is out of range",
         INPUT("1e300") REASON("number is out of range"))                                           },
        {UPDATE, STAMPED("\"\""),
         ONLY("datetime_from_date_parsing", WHEN, DATETIME "invalid date",
         INPUT("\"\"") REASON("invalid date"))                                                      },
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_uuids_that_are_none)
{
#define PARENT(value) "{\"packet_id\":" value "}"
    static const struct refusal cases[] = {
        {UPDATE, PARENT("5"),
         ONLY("uuid_type",    ",\"packet_id\"", "UUID input should be a string, bytes or UUID object",
         INPUT("5"))                                   },
        {UPDATE, PARENT("\"abc-123\""),
         ONLY("uuid_parsing", ",\"packet_id\"", "Input should be a valid UUID, invalid length",
         INPUT("\"abc-123\"") REASON("invalid length"))},
    };

    ASSERT_REFUSALS(cases);
}

Test(json_read, refuses_a_member_that_appears_twice)
{
    static const struct refusal cases[] = {
        {CLAIM, "{\"agent_id\":\"a\",\"agent_name\":\"n\",\"agent_id\":\"b\"}",
         ONLY("duplicate_key", ",\"agent_id\"", "Member appears more than once", "")},
        {CLAIM, "{\"agent_id\":\"a\",\"agent_name\":\"n\",\"agent_i\\u0064\":{\"x\":[]}}",
         ONLY("duplicate_key", ",\"agent_id\"", "Member appears more than once", "")},
    };

    ASSERT_REFUSALS(cases);
    // What the contract does not know may appear as often as it likes.
    (void)message_of(memory, CLAIM,
                     "{\"agent_id\":\"a\",\"agent_name\":\"n\",\"x\":1,\"x\":{\"x\":1,\"x\":2}}");
}

Test(json_read, asks_for_a_reason_where_a_human_is_asked)
{
    const char *detail = ONLY("value_error", ",\"hitl\"",
                              "Value error, a checkpoint that is required needs a reason",
                              ",\"ctx\":{\"error\":{}}");

    cr_assert_str_eq(refusal_of(memory, CREATE, create_body(memory, ",\"hitl\":{\"reason\":\"\"}")),
                     detail);
    (void)message_of(memory, CREATE,
                     create_body(memory, ",\"hitl\":{\"required\":false,\"reason\":\"\"}"));
    // The contract asks for it when a packet is made, not when it is changed.
    (void)message_of(memory, UPDATE, "{\"hitl\":{\"reason\":\"\"}}");
}

Test(json_read, reports_everything_at_once_in_the_order_of_the_text)
{
    cr_assert_str_eq(
        refusal_of(memory, CREATE,
                   "{\"metadata\":{\"source_agent\":{\"id\":1},\"priority\":\"urgent\",\"tags\":"
                   "[\"a\",2]},\"context\":{\"conversation_state\":[{\"role\":\"user\"}]}}"),
        "[" ITEM("string_type", ",\"metadata\",\"source_agent\",\"id\"",
                 "Input should be a valid string", INPUT("1")) "," //
        ITEM("missing", ",\"metadata\",\"source_agent\",\"name\"", "Field required",
             INPUT("{\"id\":1}")) "," //
        ITEM("enum", ",\"metadata\",\"priority\"",
             "Input should be 'low', 'normal', 'high' or 'critical'",
             INPUT("\"urgent\"") ",\"ctx\":{\"expected\":\"'low', 'normal', 'high' or "
                                 "'critical'\"}") "," //
        ITEM("string_type", ",\"metadata\",\"tags\",1", "Input should be a valid string",
             INPUT("2")) "," //
        ITEM("missing", ",\"metadata\",\"target_agent\"", "Field required",
             INPUT(
                 "{\"source_agent\":{\"id\":1},\"priority\":\"urgent\",\"tags\":[\"a\",2]}")) "," //
        ITEM("missing", ",\"context\",\"conversation_state\",0,\"content\"", "Field required",
             INPUT("{\"role\":\"user\"}")) "," //
        ITEM("missing", ",\"context\",\"summary\"", "Field required",
             INPUT("{\"conversation_state\":[{\"role\":\"user\"}]}")) "]");
}

Test(json_read, does_not_repeat_a_large_value)
{
    char *json = arena_alloc(memory, 2000);

    memset(json, ' ', 1999);
    memcpy(json, "{\"agent_id\":\"\",\"agent_name\":[1,", 31);
    memcpy(json + 1995, "2]}", 4);
    cr_assert_str_eq(refusal_of(memory, CLAIM, json),
                     ONLY("string_type", ",\"agent_name\"", "Input should be a valid string", ""));
}

Test(json_read, counts_no_more_issues_than_help)
{
    struct buf json = {0};
    const char *detail;
    size_t count = 0;

    buf_puts(&json, "{\"decisions\":[");
    for (int i = 0; i < 500; i++)
        buf_printf(&json, "%s%d", i > 0 ? "," : "", i);
    buf_puts(&json, "]}");
    detail = refusal_of(memory, UPDATE, buf_text(&json));
    buf_fini(&json);
    for (const char *at = detail; (at = strstr(at, "\"loc\"")) != NULL; at++)
        count++;
    cr_assert_eq(count, ISSUES_MAX);
    cr_assert(json_is_valid(detail, strlen(detail)));
}

// --- what is not JSON ----------------------------------------------------------------------------

static enum problem_code problem_of(const char *json, size_t len)
{
    struct issues issues = {.arena = memory};
    struct problem problem = {.code = PROBLEM_NONE};
    ProtobufCMessage *message;

    if (json_read(&message, memory, CLAIM, json, len, &issues, &problem) == RC_OK)
        return PROBLEM_NONE;
    cr_assert(json_is_valid(problem.detail.data, problem.detail.len));
    return problem.code;
}

Test(json_read, refuses_what_is_not_utf_8_with_400)
{
    static const char *const wrong[] = {
        "{\"agent_id\":\"\xff\"}", "{\"agent_id\":\"\xc3\"}", "{\"x\":\"\xed\xa0\x80\"}",
        "{\"\xc0\xaf\":1}",        "\xff\xfe{\0}\0",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct issues issues = {.arena = memory};
        struct problem problem;
        ProtobufCMessage *message;

        cr_assert_eq(
            json_read(&message, memory, CLAIM, wrong[i], strlen(wrong[i]), &issues, &problem),
            RC_REFUSED);
        cr_assert_eq(problem.code, PROBLEM_UNPARSABLE);
        ASSERT_TEXT(problem.detail, "\"There was an error parsing the body\"");
    }
}

Test(json_read, refuses_what_is_not_json)
{
    static const char *const wrong[] = {
        "{",
        "}",
        "{\"agent_id\"",
        "{\"agent_id\":",
        "{\"agent_id\":}",
        "{\"agent_id\":\"a",
        "{\"agent_id\":\"a\"",
        "{\"agent_id\":\"a\",}",
        "{agent_id:1}",
        "{'agent_id':'a'}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":0x10}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":-Infinity}",
        "{\"a\":tru}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"tab\there\"}",
        "{\"a\":1}}",
        "{\"a\":1} {}",
        "{} x",
        "[1,]",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
        "// comment\n{}",
        "{/**/}",
        "{} \"",
        "{} \"half a string",
        "{}\"\\",
        "{} nul",
        "{} tru",
        "{} 1",
        "{} -",
        "{} /",
        "{} \xc3\xa9",
        "{}\v",
        "\f{}",
        "{\v\"agent_id\":1}",
        "{\"x\":\"\f\"}",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(problem_of(wrong[i], strlen(wrong[i])), PROBLEM_VALIDATION, "%s", wrong[i]);
    cr_assert_eq(problem_of("{}\0", 3), PROBLEM_VALIDATION, "a NUL behind the object");
    cr_assert_eq(problem_of("{\"a\0\":1}", 8), PROBLEM_VALIDATION, "a NUL in a name");
}

Test(json_read, says_where_the_text_stopped_being_json)
{
    const char *detail = refusal_of(memory, CLAIM, "{\"agent_id\": tru}");

    cr_assert_not_null(strstr(detail, "{\"type\":\"json_invalid\",\"loc\":[\"body\","));
    cr_assert_not_null(strstr(detail, "\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":"));
}

Test(json_read, refuses_every_truncation_of_a_good_body)
{
    const char *json = create_body(memory, ",\"decisions\":[],\"schema_id\":\"\\ud83d\\ude00\"");

    (void)message_of(memory, CREATE, json);
    for (size_t len = 1; len < strlen(json); len++) {
        // Its own block, so that a sanitizer sees the first byte read behind it.
        char *part = malloc(len);

        cr_assert_not_null(part);
        memcpy(part, json, len);
        cr_assert_eq(problem_of(part, len), PROBLEM_VALIDATION, "%.*s", (int)len, part);
        free(part);
    }
}

#define HALF(loc)                                                                                  \
    "{\"type\":\"string_unicode\",\"loc\":[\"body\"," loc                                          \
    "],\"msg\":\"Input should be a valid string, "                                                 \
    "half of a surrogate pair is no character\"}"

Test(json_read, refuses_half_a_surrogate_pair_anywhere_and_says_where)
{
    static const char *const wrong[] = {
        "{\"x\":\"\\ud800\"}",
        "{\"x\":\"\\udc00\"}",
        "{\"x\":\"\\ud800x\"}",
        "{\"x\":\"\\ud800\\n\"}",
        "{\"x\":\"\\ud800\\ud800\"}",
        "{\"x\":\"\\udc00\\ud800\"}",
        "{\"\\udfff\":1}",
        "{\"x\":\"\\\\\\ud800\"}",
        "{\"x\":\"\\uD83D\\u0041\"}",
        "{\"x\":\"\\ud83d\\ude0\"}",
        "\"\\ud800",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *refusal = refusal_of(memory, CLAIM, wrong[i]);

        cr_expect(strstr(refusal, "string_unicode") != NULL ||
                      strstr(refusal, "json_invalid") != NULL,
                  "%s: %s", wrong[i], refusal);
        cr_expect_not(json_is_valid(wrong[i], strlen(wrong[i])));
    }
    cr_assert_str_eq(refusal_of(memory, &hr__create_packet__descriptor,
                                "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},"
                                "\"target_agent\":{\"id\":\"t\",\"name\":\"T\"},\"tags\":[\"a\","
                                "\"\\ud83d\"]},\"context\":{\"summary\":\"\\ud83d\",\"custom\":"
                                "{\"a\":[\"\\ud83d\",\"\\ud83d\"]}}}"),
                     "[" HALF("\"metadata\",\"tags\",1") "," HALF(
                         "\"context\",\"summary\"") "," HALF("\"context\",\"custom\"") "]");
    // A whole pair, and a backslash before something that only looks like half of one.
    cr_assert_eq(problem_of("{\"x\":\"\\ud83d\\ude00\"}", 20), PROBLEM_NONE);
    cr_assert_eq(problem_of("{\"x\":\"\\\\ud800\"}", 15), PROBLEM_NONE);
}

// --- depth ---------------------------------------------------------------------------------------

// An update whose custom object is nested so that the whole text has this many levels.
static char *nested(size_t levels, char open, char close)
{
    static const char head[] = "{\"context\":{\"summary\":\"\",\"custom\":{\"x\":";
    struct buf out = {0};
    char *text;

    buf_puts(&out, head);
    for (size_t i = 3; i < levels; i++)
        buf_puts(&out, open == '[' ? "[" : "{\"x\":");
    if (open == '{')
        buf_puts(&out, "1");
    for (size_t i = 3; i < levels; i++)
        buf_append(&out, &close, 1);
    buf_puts(&out, "}}}");
    text = arena_copy(memory, out.data, out.len);
    buf_fini(&out);
    return text;
}

Test(json_read, takes_text_that_is_nested_to_the_limit_and_not_one_level_more)
{
    (void)message_of(memory, UPDATE, nested(JSON_DEPTH_MAX, '[', ']'));
    (void)message_of(memory, UPDATE, nested(JSON_DEPTH_MAX, '{', '}'));
    cr_assert_not_null(strstr(refusal_of(memory, UPDATE, nested(JSON_DEPTH_MAX + 1, '[', ']')),
                              "\"ctx\":{\"error\":\"nested too deeply\"}"));
    cr_assert_not_null(strstr(refusal_of(memory, UPDATE, nested(JSON_DEPTH_MAX + 1, '{', '}')),
                              "\"ctx\":{\"error\":\"nested too deeply\"}"));
}

Test(json_read, refuses_a_depth_bomb_in_a_member_it_does_not_know)
{
    size_t len = 1 << 20;
    char *bomb = arena_alloc(memory, len);

    memset(bomb, '[', len);
    memcpy(bomb, "{\"x\":", 5);
    cr_assert_eq(problem_of(bomb, len), PROBLEM_VALIDATION);
}

Test(json_is_valid, has_the_same_depth_limit)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    cr_assert(json_is_valid(text + 1, 2 * JSON_DEPTH_MAX));
    cr_assert_not(json_is_valid(text, sizeof text));
}

Test(json_is_valid, takes_exactly_one_value)
{
    static const char *const good[] = {"0",    " 1 ",  "-1.5e-3", "\"\"",
                                       "true", "null", "{}",      "[1,{\"a\":2}]"};
    static const char *const bad[] = {"",
                                      " ",
                                      "1 2",
                                      "{}{}",
                                      "nul",
                                      "[1",
                                      "]",
                                      "\"\xff\"",
                                      "\"a",
                                      "'a'",
                                      "1,",
                                      "{\"a\"}",
                                      "\xef\xbb\xbf{}",
                                      "[1]\"0, {}]",
                                      "{} \"",
                                      "\"a\" \"",
                                      "1 \"",
                                      "true \"x",
                                      "null tru",
                                      "5 -",
                                      "{}1",
                                      "[]\v",
                                      "\f1",
                                      "[1,\v2]"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(json_is_valid(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(json_is_valid(bad[i], strlen(bad[i])), "%s", bad[i]);
    cr_assert_not(json_is_valid(NULL, 0));
}

// --- what is accepted ----------------------------------------------------------------------------

static const Hr__Hitl *hitl_of(const char *json)
{
    return ((const Hr__UpdatePacket *)message_of(memory, UPDATE, json))->hitl;
}

Test(json_read, knows_every_word_for_yes_and_no)
{
    static const char *const yes[] = {"true",     "1",     "1.0",     "10e-1", "\"1\"", "\"true\"",
                                      "\"TRUE\"", "\"t\"", "\"yes\"", "\"Y\"", "\"on\""};
    static const char *const no[] = {"false", "0",         "0.0",    "-0",    "\"0\"",
                                     "\"f\"", "\"FALSE\"", "\"no\"", "\"n\"", "\"Off\""};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        cr_expect(hitl_of(arena_printf(memory, HITL("%s"), yes[i]))->required, "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        cr_expect_not(hitl_of(arena_printf(memory, HITL("%s"), no[i]))->required, "%s", no[i]);
}

Test(json_read, coerces_integers)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0",                    0        },
        {"-7",                   -7       },
        {"5.0",                  5        },
        {"1e3",                  1000     },
        {"true",                 1        },
        {"false",                0        },
        {"\"7\"",                7        },
        {"\" 7 \"",              7        },
        {"\"+7\"",               7        },
        {"\"1.0\"",              1        },
        {"\"1_000\"",            1000     },
        {"9223372036854775807",  INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *json = arena_printf(memory, TIMEOUT("%s"), cases[i].text);
        struct issues issues = {.arena = memory};
        ProtobufCMessage *message;
        struct problem problem;
        const Hr__Hitl *hitl;

        // Only read: what may be a time-out is another question.
        cr_assert_eq(json_read(&message, memory, UPDATE, json, strlen(json), &issues, &problem),
                     RC_OK);
        cr_assert_eq(issues.count, 0);
        hitl = ((Hr__UpdatePacket *)message)->hitl;
        cr_expect(hitl->has_timeout_seconds);
        cr_expect_eq(hitl->timeout_seconds, cases[i].value, "%s", cases[i].text);
    }
}

Test(json_read, takes_moments_as_text_and_as_numbers)
{
    static const char *const spellings[] = {
        "\"2026-11-20T21:29:05Z\"", "1795210145",   "1795210145000",
        "\"1795210145\"",           "1795210145.0", "\"2026-11-20 22:29:05+01:00\""};

    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
            memory, UPDATE, arena_printf(memory, STAMPED("%s"), spellings[i]));

        cr_expect_eq(wire_timestamp_us(update->context->conversation_state[0]->timestamp),
                     1795210145000000, "%s", spellings[i]);
    }
}

Test(json_read, takes_null_for_absent_where_absence_means_nothing_else)
{
    const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
        memory, UPDATE,
        "{\"packet_id\":null,\"status\":null,\"context\":null,\"decisions\":null,\"actions\":null,"
        "\"dependencies\":null,\"hitl\":null}");
    const Hr__Hitl *hitl =
        hitl_of("{\"hitl\":{\"reason\":\"r\",\"question\":null,\"options\":null,\"response\":null,"
                "\"responded_at\":null,\"timeout_seconds\":null}}");

    cr_assert_not(update->has_packet_id || update->has_status);
    cr_assert_null(update->context);
    cr_assert_null(update->decisions);
    cr_assert_null(update->actions);
    cr_assert_null(update->dependencies);
    cr_assert_null(update->hitl);
    cr_assert_not(hitl->has_question || hitl->has_timeout_seconds);
    cr_assert_null(hitl->options);
    cr_assert_null(hitl->responded_at);
}

Test(json_read, tells_an_empty_list_from_an_absent_one)
{
    const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
        memory, UPDATE, "{\"decisions\":[],\"actions\":{\"pending\":[]}}");

    cr_assert_not_null(update->decisions);
    cr_assert_eq(update->decisions->n_items, 0);
    cr_assert_not_null(update->actions->pending);
    cr_assert_null(update->actions->completed);
}

Test(json_read, keeps_members_it_does_not_know_at_every_level_and_drops_what_is_ours)
{
    const char *more =
        "{\"x\":[{}],\"metadata\":{\"\":1,\"source_agent\":{\"id\":\"s\",\"name\":\"S\",\"x\":{}},"
        "\"target_agent\":{\"id\":\"t\",\"version\":\"9\",\"name\":\"T\"},\"meta\":null},"
        "\"context\":{\"summary\":\"x\",\"Summary\":5,\"a_name_that_is_much_longer_than_any_of_the_"
        "contract_and_so_cannot_be_one\":1},\"id\":\"mine\",\"status\":\"failed\"}";

    const Hr__CreatePacket *create = (const Hr__CreatePacket *)message_of(memory, CREATE, more);

    ASSERT_TEXT(create->extra->text, "{\"x\":[{}]}");
    ASSERT_TEXT(create->metadata->extra->text, "{\"\":1,\"meta\":null}");
    ASSERT_TEXT(create->metadata->source_agent->extra->text, "{\"x\":{}}");
    ASSERT_TEXT(create->metadata->target_agent->extra->text, "{\"version\":\"9\"}");
    ASSERT_TEXT(create->context->extra->text,
                "{\"Summary\":5,\"a_name_that_is_much_longer_than_any_of_the_contract_and_so_"
                "cannot_be_one\":1}");
}

Test(json_read, drops_members_it_does_not_know_where_there_is_no_place_for_them)
{
    cr_assert_str_eq(
        json_text_of(memory, message_of(memory, CLAIM,
                                        "{\"agent_id\":\"a\",\"x\":{},\"agent_name\":\"A\"}")),
        json_text_of(memory,
                     message_of(memory, CLAIM, "{\"agent_id\":\"a\",\"agent_name\":\"A\"}")));
}

Test(json_read, ignores_what_the_server_writes)
{
    const Hr__CreatePacket *create = (const Hr__CreatePacket *)message_of(
        memory, CREATE,
        "{\"metadata\":{\"source_agent\":{\"id\":\"s\",\"name\":\"S\"},\"claimed_at\":5,"
        "\"completed_at\":{\"not\":\"a date\"},\"addressed_to\":[],\"target_agent\":{\"id\":\"t\","
        "\"name\":\"T\"},\"created_at\":\"2020-01-01\"},\"context\":{\"summary\":\"\"}}");

    cr_assert_null(create->metadata->claimed_at);
    cr_assert_null(create->metadata->completed_at);
    cr_assert_null(create->metadata->addressed_to);
    cr_assert_eq(wire_timestamp_us(create->metadata->created_at), 1577836800000000);
}

Test(json_read, sets_what_absence_means)
{
    const Hr__CreatePacket *create = (const Hr__CreatePacket *)message_of(
        memory, CREATE,
        create_body(memory, ",\"hitl\":{\"reason\":\"r\"},\"dependencies\":[{\"id\":\"1\","
                            "\"type\":\"api\",\"description\":\"d\"}]"));

    cr_assert_eq(create->metadata->priority, HR__PRIORITY__PRIORITY_NORMAL);
    ASSERT_TEXT(create->context->custom->text, "{}");
    cr_assert_not_null(create->actions);
    cr_assert(create->hitl->has_required && create->hitl->required);
    cr_assert_eq(create->dependencies[0]->status, HR__DEPENDENCY_STATUS__DEPENDENCY_STATUS_UNKNOWN);
}

Test(json_read, normalises_uuids)
{
    const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
        memory, UPDATE, "{\"packet_id\":\"urn:uuid:0190B5A27C3E7DEF8123456789ABCDEF\"}");

    ASSERT_TEXT(update->packet_id, "0190b5a2-7c3e-7def-8123-456789abcdef");
}

Test(json_read, skips_a_byte_order_mark)
{
    (void)message_of(memory, CLAIM, "\xef\xbb\xbf{\"agent_id\":\"a\",\"agent_name\":\"n\"}");
}

Test(json_read, reads_every_escape)
{
    const Hr__ClaimPacket *claim = (const Hr__ClaimPacket *)message_of(
        memory, CLAIM,
        "{\"agent_id\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC\\ud83d\\uDE00\","
        "\"agent_name\":\"a\\u0000b\"}");

    ASSERT_TEXT(claim->agent_id, "\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    cr_assert_eq(claim->agent_name.len, 3);
    cr_assert_eq(memcmp(claim->agent_name.data, "a\0b", 3), 0);
    cr_assert_not_null(strstr(json_text_of(memory, &claim->base), "\"a\\u0000b\""));
}

// Free-form values come back as they were sent, to the byte.
Test(json_read, keeps_free_form_text_as_it_stands)
{
    static const char *const objects[] = {
        "{}",
        "{ }",
        "{ \"b\" : 1 , \"a\" : [ 1 ,2,  3 ] }",
        "{\"z\":1,\"a\":2,\"z\":3}",
        "{\"n\":1.10,\"m\":1.0,\"e\":1E+2,\"z\":-0.0}",
        "{\"n\":123456789012345678901234567890}",
        "{\"n\":1e400}",
        "{\"s\":\"a\\u0000b\\/\\u00e9\\ud83d\\ude00\"}",
        "{\"s\":\"caf\xc3\xa9 \xf0\x9f\x98\x80\"}",
        "{\n\t\"deep\": [[[[{\"x\":[]}]]]]\r\n}",
        "{\"\":{\"\":null}}",
        "{\"}\":\"]\",\"\\\"\":\"\\\\\"}",
        "{\"metadata\":{\"id\":[]},\"summary\":5}",
    };

    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
            memory, UPDATE,
            arena_printf(memory,
                         "{\"context\": { \"custom\" :\n %s , \"summary\":\"\",\"artifacts\":[ "
                         "{\"key\":\"k\",\"value\": %s },{\"value\":%s,\"key\":\"l\"}],"
                         "\"conversation_state\":[{\"role\":\"user\",\"content\":\"\",\"metadata\":"
                         "%s}]}}",
                         objects[i], objects[i], objects[i], objects[i]));

        ASSERT_TEXT(update->context->custom->text, objects[i]);
        ASSERT_TEXT(update->context->artifacts[0]->value->text, objects[i]);
        ASSERT_TEXT(update->context->artifacts[1]->value->text, objects[i]);
        ASSERT_TEXT(update->context->conversation_state[0]->metadata->text, objects[i]);
    }
}

Test(json_read, keeps_an_artifact_that_is_a_string_or_a_list)
{
    static const char *const values[] = {"\"\"", "\"a\\u0000\\n\"", "\"caf\xc3\xa9\"", "[]",
                                         "[ 1.10, {} ]"};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const Hr__UpdatePacket *update = (const Hr__UpdatePacket *)message_of(
            memory, UPDATE,
            arena_printf(memory,
                         "{\"context\":{\"summary\":\"\",\"artifacts\":[{\"key\":\"k\",\"value\" "
                         ":\t%s\n}]}}",
                         values[i]));

        ASSERT_TEXT(update->context->artifacts[0]->value->text, values[i]);
    }
}

Test(json_read, refuses_half_of_a_pair_in_words_that_are_json)
{
    static const char *const bodies[] = {
        "{\"agent_id\":[\"\\ud83d\"],\"x\":\"\\udc00\"}",
        "{\"packet_id\":\"01a1te\\udc00r_f4\",\"agent_id\":\"\"}",
        "{\"x\\udc00\":{},\"x\\ud800\":1}",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *refusal = refusal_of(memory, CLAIM, bodies[i]);

        cr_expect(json_is_valid(refusal, strlen(refusal)), "%s", refusal);
    }
}
