#include "gateway/routes.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *memory;

static void set_up(void)
{
    memory = arena_create(1024);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(routes, .init = set_up, .fini = tear_down);

Test(routes, are_found_by_method_and_path)
{
    static const struct {
        const char *method;
        const char *path;
        const char *operation;
        const char *id;
    } cases[] = {
        {"GET",    "/health",                       "health",           NULL   },
        {"GET",    "/api/v1/packets",               "listPackets",      NULL   },
        {"POST",   "/api/v1/packets",               "createPacket",     NULL   },
        {"GET",    "/api/v1/packets/abc",           "getPacket",        "abc"  },
        {"PATCH",  "/api/v1/packets/abc",           "updatePacket",     "abc"  },
        {"DELETE", "/api/v1/packets/abc",           "deletePacket",     "abc"  },
        {"POST",   "/api/v1/packets/a%2Fb/claim",   "claimPacket",      "a%2Fb"},
        {"GET",    "/api/v1/packets/claim/history", "getPacketHistory", "claim"},
        {"GET",    "/api/v1/audit",                 "listAudit",        NULL   },
        {"GET",    "/api/v1/schemas",               "listSchemas",      NULL   },
        {"GET",    "/api/v1/schemas/x.y",           "getSchema",        "x.y"  },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct route *route = NULL;
        struct path_ids ids = {.count = 0};

        cr_assert_eq(routes_find(cases[i].method, cases[i].path, memory, &route, &ids), MATCH_ROUTE,
                     "%s", cases[i].path);
        cr_assert_str_eq(route->operation, cases[i].operation);
        cr_assert_eq(ids.count, cases[i].id != NULL ? 1 : 0);
        if (ids.count > 0)
            cr_assert_str_eq(ids.items[0].value, cases[i].id);
    }
}

Test(routes, tell_what_is_not_there_from_what_cannot_be_done)
{
    static const struct {
        const char *method;
        const char *path;
        enum match match;
    } cases[] = {
        {"GET",    "/",                             MATCH_NONE  },
        {"GET",    "",                              MATCH_NONE  },
        {"GET",    "/nowhere",                      MATCH_NONE  },
        {"GET",    "/healthy",                      MATCH_NONE  },
        {"GET",    "/HEALTH",                       MATCH_NONE  },
        {"GET",    "//health",                      MATCH_NONE  },
        {"GET",    "/api/v1/packet",                MATCH_NONE  },
        {"GET",    "/api/v1/packets/abc/",          MATCH_SLASH },
        {"GET",    "/api/v1/packets/abc/x",         MATCH_NONE  },
        {"GET",    "/api/v1/packets//history",      MATCH_NONE  },
        {"GET",    "/api/v1/packets/a/b/history",   MATCH_NONE  },
        {"GET",    "/api/v1/packets/abc/history/x", MATCH_NONE  },
        {"HEAD",   "/health",                       MATCH_METHOD},
        {"POST",   "/health",                       MATCH_METHOD},
        {"get",    "/health",                       MATCH_METHOD},
        {"PUT",    "/api/v1/packets",               MATCH_METHOD},
        {"POST",   "/api/v1/packets/abc",           MATCH_METHOD},
        {"GET",    "/api/v1/packets/abc/claim",     MATCH_METHOD},
        {"DELETE", "/api/v1/packets/abc/history",   MATCH_METHOD},
        {"GET",    "/health/",                      MATCH_SLASH },
        {"POST",   "/health/",                      MATCH_SLASH },
        {"GET",    "/api/v1/packets/",              MATCH_SLASH },
        {"POST",   "/api/v1/packets/",              MATCH_SLASH },
        {"POST",   "/api/v1/packets/abc/claim/",    MATCH_SLASH },
        {"GET",    "/health//",                     MATCH_NONE  },
        {"GET",    "/nowhere/",                     MATCH_NONE  },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct route *route = NULL;
        struct path_ids ids = {.count = 0};
        enum match match = routes_find(cases[i].method, cases[i].path, memory, &route, &ids);

        cr_expect_eq(match, cases[i].match, "%s %s gives %d", cases[i].method, cases[i].path,
                     match);
        if (match == MATCH_METHOD)
            cr_expect_not_null(route);
    }
}

Test(routes, have_names_and_summaries_of_their_own)
{
    for (const struct route *a = routes; a->method != NULL; a++) {
        cr_assert_not_null(routes_handler(a), "%s", a->operation);
        cr_assert(a->summary[0] != '\0');
        cr_assert((a->success >= 200 && a->success < 300) || a->success == 101);
        for (const struct route *b = routes; b < a; b++) {
            cr_assert_str_neq(a->operation, b->operation);
            cr_assert(strcmp(a->method, b->method) != 0 || strcmp(a->path, b->path) != 0);
        }
    }
}

Test(routes, ask_for_a_key_wherever_there_is_data)
{
    for (const struct route *route = routes; route->method != NULL; route++) {
        bool data = strncmp(route->path, "/api/", 5) == 0 || strcmp(route->path, "/events") == 0 ||
                    strcmp(route->path, "/ws") == 0;

        cr_assert_eq(route_role(route) != ROLE_NONE, data, "%s", route->path);
        if (data && strcmp(route->method, "GET") != 0)
            cr_assert_gt((int)route_role(route), (int)ROLE_READER, "%s", route->operation);
    }
}

// What stands in braces must be a text field of the command's request.
Test(routes, have_ids_that_their_commands_know)
{
    for (const struct route *route = routes; route->method != NULL; route++) {
        size_t count = 0;

        for (const char *at = strchr(route->path, '{'); at != NULL; at = strchr(at + 1, '{')) {
            const char *name = arena_copy(memory, at + 1, strcspn(at, "}") - 1);
            const ProtobufCFieldDescriptor *field;

            cr_assert_neq(route->command, CMD_NONE, "%s", route->path);
            field = protobuf_c_message_descriptor_get_field_by_name(
                command_row(route->command)->request, name);
            cr_assert_not_null(field, "%s %s", route->path, name);
            cr_assert_eq(field->type, PROTOBUF_C_TYPE_BYTES);
            count++;
        }
        cr_assert_leq(count, PATH_IDS_MAX);
    }
}

Test(routes, have_both_ids_of_a_path)
{
    const struct route *route = NULL;
    struct path_ids ids;

    cr_assert_eq(routes_find("GET", "/api/v1/hooks/a/deliveries/b", memory, &route, &ids),
                 MATCH_ROUTE);
    cr_assert_eq(ids.count, 2);
    cr_assert_str_eq(ids.items[0].name, "hook_id");
    cr_assert_str_eq(ids.items[1].name, "delivery_id");
    cr_assert_str_eq(ids.items[1].value, "b");
}

// A verb is named once; every command has one worker that answers it.
Test(routes, the_command_table_names_each_verb_once)
{
    for (int a = CMD_NONE + 1; a < CMD_COUNT; a++) {
        const struct command_row *row = command_row((enum command_id)a);

        cr_assert_neq(row->role, ROLE_NONE, "%s.%s", row->noun, row->verb);
        cr_assert_gt(command_count_of(row->worker), 0);
        for (int b = CMD_NONE + 1; b < a; b++) {
            const struct command_row *other = command_row((enum command_id)b);

            cr_assert(strcmp(row->noun, other->noun) != 0 || strcmp(row->verb, other->verb) != 0,
                      "%s.%s", row->noun, row->verb);
        }
    }
}
