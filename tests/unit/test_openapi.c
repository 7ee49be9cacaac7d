#include "gateway/openapi.h"

#include "broker/message/json_read.h"
#include "gateway/routes.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

static struct arena *memory;
static const char *document;

static void set_up(void)
{
    Text text;

    memory = arena_create(64 * 1024);
    text = openapi_document(memory);
    document = arena_copy(memory, text.data, text.len);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(openapi, .init = set_up, .fini = tear_down);

// The value of a member of the object at text, up to the end of the document; NULL: it has none.
// Enough of a reader for a document that we wrote.
static const char *member(const char *text, const char *name)
{
    size_t depth = 0;
    size_t len = strlen(name);

    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (--depth == 0)
                return NULL;
        } else if (*at == '"') {
            const char *start = at + 1;

            for (at++; *at != '"'; at++)
                at += *at == '\\' ? 1 : 0;
            if (depth == 1 && at[1] == ':' && (size_t)(at - start) == len &&
                memcmp(start, name, len) == 0)
                return at + 2;
        }
    }
    return NULL;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static const char *operation_of(const struct route *route)
{
    char method[8] = "";

    for (size_t i = 0; i < strlen(route->method); i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    return member(member(member(document, "paths"), route->path), method);
}

Test(openapi, is_json)
{
    cr_assert(json_is_valid(document, strlen(document)));
    cr_assert(starts_with(member(document, "openapi"), "\"3.1.0\""));
}

Test(openapi, has_every_route_of_the_table)
{
    for (const struct route *route = routes; route->method != NULL; route++) {
        const char *operation = operation_of(route);
        const char *name;

        cr_assert_not_null(operation, "%s %s", route->method, route->path);
        name = member(operation, "operationId");
        cr_assert(starts_with(name + 1, route->operation));
        cr_assert_eq(member(operation, "requestBody") != NULL, route_body(route) != NULL);
        cr_assert_not_null(
            member(member(operation, "responses"), arena_printf(memory, "%u", route->success)));
        cr_assert_not_null(member(member(operation, "responses"), "default"));
    }
}

Test(openapi, has_a_schema_for_everything_it_refers_to)
{
    static const char prefix[] = "\"$ref\":\"#/components/schemas/";
    const char *schemas = member(member(document, "components"), "schemas");
    size_t count = 0;

    for (const char *at = document; (at = strstr(at, prefix)) != NULL; at++) {
        const char *start = at + sizeof prefix - 1;
        const char *name = arena_copy(memory, start, strcspn(start, "\""));

        cr_assert_not_null(member(schemas, name), "%s", name);
        count++;
    }
    cr_assert_gt(count, 10);
}

Test(openapi, says_what_the_rules_say)
{
    const char *schemas = member(member(document, "components"), "schemas");
    const char *packet = member(member(schemas, "CreatePacket"), "required");
    const char *parent =
        member(member(member(schemas, "CreatePacket"), "properties"), "parent_packet_id");
    const char *claimed = member(member(member(schemas, "Metadata"), "properties"), "claimed_at");
    const char *list = strstr(document, "\"name\":\"limit\"");

    cr_assert(starts_with(packet, "[\"metadata\",\"context\"]"));
    cr_assert(starts_with(parent, "{\"anyOf\":[{\"type\":\"string\",\"format\":\"uuid\"},{"
                                  "\"type\":\"null\"}]}"));
    cr_assert(starts_with(member(claimed, "readOnly"), "true"));
    cr_assert_not_null(list);
    cr_assert_not_null(strstr(list, "\"type\":\"integer\",\"minimum\":1,\"maximum\":200"));
}

Test(openapi, says_which_routes_need_a_key)
{
    for (const struct route *route = routes; route->method != NULL; route++) {
        const char *security = member(operation_of(route), "security");

        cr_assert_eq(starts_with(security, "[]"), route_role(route) == ROLE_NONE, "%s",
                     route->operation);
    }
}

// The text of one parameter, up to the end of the document; NULL: there is none.
static const char *parameter_of(const struct route *route, const char *name)
{
    const char *parameters = member(operation_of(route), "parameters");
    const char *end = strstr(parameters, ",\"responses\":");
    const char *start = strstr(parameters, arena_printf(memory, "{\"name\":\"%s\"", name));

    return start != NULL && start < end ? start : NULL;
}

static const struct route *route_named(const char *operation)
{
    const struct route *route = routes;

    while (strcmp(route->operation, operation) != 0)
        route++;
    return route;
}

Test(openapi, has_the_headers_that_a_route_takes)
{
    for (const struct route *route = routes; route->method != NULL; route++) {
        bool fences = (route_flags(route) & COMMAND_FENCED) != 0;

        cr_assert_eq(parameter_of(route, "X-HR-Claim") != NULL, fences, "%s", route->operation);
        cr_assert_eq(parameter_of(route, "If-Match") != NULL, fences, "%s", route->operation);
        cr_assert_eq(parameter_of(route, "X-HR-Min-Seq") != NULL,
                     (route_flags(route) & COMMAND_READS) != 0, "%s", route->operation);
        cr_assert_eq(parameter_of(route, "X-HR-Durability") != NULL,
                     (route_flags(route) & COMMAND_CHANGES) != 0, "%s", route->operation);
    }
    cr_assert_not_null(parameter_of(route_named("claimPacket"), "X-HR-Claim"));
    cr_assert_not_null(parameter_of(route_named("listPackets"), "X-HR-Min-Seq"));
    cr_assert_not_null(parameter_of(route_named("createPacket"), "X-HR-Durability"));
    cr_assert_null(parameter_of(route_named("claimPackets"), "X-HR-Claim"));
}

Test(openapi, says_which_parameters_there_must_be)
{
    cr_assert(starts_with(
        parameter_of(route_named("searchPackets"), "q"),
        "{\"name\":\"q\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\"}}"));
    cr_assert_not_null(parameter_of(route_named("getPacketContext"), "from"));
    cr_assert(starts_with(parameter_of(route_named("getPacketContext"), "from"),
                          "{\"name\":\"from\",\"in\":\"query\",\"required\":true"));
    cr_assert(starts_with(parameter_of(route_named("listPackets"), "limit"),
                          "{\"name\":\"limit\",\"in\":\"query\",\"required\":false"));
    cr_assert(starts_with(parameter_of(route_named("getSchema"), "schema_id"),
                          "{\"name\":\"schema_id\",\"in\":\"path\",\"required\":true,"
                          "\"schema\":{\"type\":\"string\"}}"));
    cr_assert(starts_with(parameter_of(route_named("getPacket"), "packet_id"),
                          "{\"name\":\"packet_id\",\"in\":\"path\",\"required\":true,"
                          "\"schema\":{\"type\":\"string\",\"format\":\"uuid\"}}"));
}

Test(openapi, says_what_comes_when_it_is_no_message)
{
    const char *next = member(operation_of(route_named("claimNext")), "responses");
    const char *export = member(operation_of(route_named("exportAudit")), "responses");
    const char *content = member(member(export, "200"), "content");

    cr_assert_not_null(member(next, "200"));
    cr_assert_not_null(member(next, "204"));
    cr_assert_not_null(member(content, "application/x-ndjson"));
    cr_assert_not_null(member(content, "text/csv"));
}

Test(openapi, says_where_unknown_members_are_kept_and_who_gets_transcripts)
{
    const char *schemas = member(member(document, "components"), "schemas");
    const char *entry = member(schemas, "ConversationEntry");
    const char *claim = member(schemas, "ClaimPacket");

    cr_assert(starts_with(member(entry, "additionalProperties"), "true"));
    cr_assert(starts_with(member(member(schemas, "Packet"), "additionalProperties"), "true"));
    cr_assert_null(member(claim, "additionalProperties"));
    cr_assert_null(member(member(entry, "properties"), "extra"));
    cr_assert_null(member(member(entry, "properties"), "content_json"));
    cr_assert(starts_with(member(member(member(entry, "properties"), "content"), "type"),
                          "[\"string\",\"array\",\"null\"]"));
    for (const struct route *route = routes; route->method != NULL; route++) {
        bool shows = route_reply(route) == &hr__packet__descriptor ||
                     route_reply(route) == &hr__packet_page__descriptor;
        const char *parameters = member(operation_of(route), "parameters");
        const char *end = strstr(parameters, "\"responses\"");
        const char *header = strstr(parameters, "\"HR-Transcript\"");

        if (shows)
            cr_expect(header != NULL && header < end, "%s %s", route->method, route->path);
    }
}
