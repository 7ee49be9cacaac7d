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
        const char *id = NULL;

        cr_assert_eq(routes_find(cases[i].method, cases[i].path, memory, &route, &id), MATCH_ROUTE,
                     "%s", cases[i].path);
        cr_assert_str_eq(route->operation, cases[i].operation);
        cr_assert_eq(id == NULL, cases[i].id == NULL);
        if (id != NULL)
            cr_assert_str_eq(id, cases[i].id);
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
        const char *id = NULL;
        enum match match = routes_find(cases[i].method, cases[i].path, memory, &route, &id);

        cr_expect_eq(match, cases[i].match, "%s %s gives %d", cases[i].method, cases[i].path,
                     match);
        if (match == MATCH_METHOD)
            cr_expect_not_null(route);
    }
}

Test(routes, have_names_and_summaries_of_their_own)
{
    for (const struct route *a = routes; a->method != NULL; a++) {
        cr_assert_not_null(a->handle);
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

        cr_assert_eq(route->role != ROLE_NONE, data, "%s", route->path);
        if (data && strcmp(route->method, "GET") != 0)
            cr_assert_gt((int)route->role, (int)ROLE_READER, "%s", route->operation);
    }
}
