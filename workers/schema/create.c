// Check, then one append on the condition that nothing is there under that id.
//
// With an Idempotency-Key the id is derived from it, so a repeat meets the first; and an append
// whose answer was lost meets itself. Either way what is there is compared with what was asked for.
#include "workers/schema/create.h"

#include "broker/base/digest.h"
#include "broker/message/issues.h"
#include "broker/message/members.h"
#include "workers/schema/validator.h"

#include <inttypes.h>

#define SCHEMA_BYTES_MAX (64 * 1024)
#define REPEATS_MAX 2 // of an append that was not answered

struct making {
    struct registry *registry;
    struct command *command;
    Hr__Schema *schema;
    char id[UUID_TEXT_BYTES];
    char key[SCHEMA_KEY_BYTES];
    Text bytes;
    unsigned repeats;
    bool maybe_stored; // an append was sent whose outcome is unknown
};

static void refuse(struct making *making, enum problem_code code, const char *text)
{
    struct problem problem;

    (void)problem_set(&problem, making->command->arena, code, "%s", text);
    command_refuse(making->command, &problem);
}

// --- checks --------------------------------------------------------------------------------------

static void refuse_field(struct command *command, const char *field, const char *type,
                         const char *text)
{
    struct issues issues = {.arena = command->arena};
    struct path path = {0};
    struct problem problem;
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of(field));
    issue = issues_add(&issues, &path, type, text);
    if (strcmp(type, "value_error") == 0)
        issue->ctx = text_of("{\"error\":{}}");
    (void)issues_to_problem(&issues, &problem);
    command_refuse(command, &problem);
}

static bool has_type(Text schema, struct arena *arena)
{
    struct members members;

    if (!members_read(&members, schema, arena))
        return false;
    for (size_t i = 0; i < members.count; i++) {
        if (text_is(members.items[i].key, "type"))
            return true;
    }
    return false;
}

static bool is_sound(struct command *command, Text schema)
{
    struct validator_words why;
    struct validator *made = NULL;

    if (schema.len > SCHEMA_BYTES_MAX) {
        refuse_field(command, "json_schema", "value_error",
                     arena_printf(command->arena,
                                  "Value error, json_schema should have at most %d bytes, not %zu",
                                  SCHEMA_BYTES_MAX, schema.len));
        return false;
    }
    if (!has_type(schema, command->arena)) {
        refuse_field(command, "json_schema", "value_error",
                     "Value error, json_schema must have the keyword 'type'");
        return false;
    }
    if (validator_create(&made, &why, schema.data, schema.len) != RC_OK) {
        refuse_field(command, "json_schema", "value_error",
                     arena_printf(command->arena, "Value error, %s (at '%s')", why.text,
                                  why.place[0] != '\0' ? why.place : "/"));
        return false;
    }
    validator_destroy(made);
    return true;
}

// --- the end -------------------------------------------------------------------------------------

static void reply(void *ctx)
{
    struct making *making = ctx;

    command_reply(making->command, &making->schema->base, 0);
}

static bool is_same(const Hr__Schema *stored, const Hr__Schema *wanted)
{
    return text_equal(stored->name, wanted->name) && stored->version == wanted->version &&
           stored->json_schema != NULL &&
           text_equal(stored->json_schema->text, wanted->json_schema->text);
}

// There is one already: the first of a repeat, or this one.
static void answer_with(struct making *making, const Hr__Schema *stored)
{
    if (!is_same(stored, making->schema)) {
        refuse(making, PROBLEM_KEY_REUSED,
               "This Idempotency-Key was used with a different request");
        return;
    }
    making->schema->created_at =
        wire_timestamp(making->command->arena, wire_timestamp_us(stored->created_at));
    registry_await(making->registry, making->key, making->command->arena, reply, making);
}

static void on_found(void *ctx, enum rc rc, const char *key, const Hr__Schema *stored)
{
    struct making *making = ctx;

    (void)key;
    if (rc == RC_OK)
        answer_with(making, stored);
    else
        command_fail(making->command, rc);
}

// --- storing -------------------------------------------------------------------------------------

static void put(struct making *making);

static void on_put(void *ctx, enum rc rc, uint64_t sequence)
{
    struct making *making = ctx;

    (void)sequence;
    switch (rc) {
    case RC_OK:
        registry_await(making->registry, making->key, making->command->arena, reply, making);
        return;
    case RC_CONFLICT:
        registry_find(making->registry, making->command->tenant, text_of(making->id),
                      making->command->arena, on_found, making);
        return;
    case RC_TIMEOUT:
        making->maybe_stored = true;
        if (making->repeats++ < REPEATS_MAX) {
            put(making);
            return;
        }
        break;
    case RC_UNAVAILABLE:
    case RC_CLOSED:
        making->maybe_stored = true;
        break;
    default:
        break;
    }
    if (making->maybe_stored)
        refuse(making, PROBLEM_OUTCOME_UNKNOWN,
               "It is not known whether the schema was stored; repeat it with the same "
               "Idempotency-Key to find out");
    else
        command_fail(making->command, rc);
}

static void put(struct making *making)
{
    registry_put(making->registry, making->command->tenant, making->id, making->bytes, on_put,
                 making);
}

// --- the command ---------------------------------------------------------------------------------

static struct uuid make_id(const struct command *command)
{
    const char *key = command->idempotency_key;
    uint8_t digest[DIGEST_BYTES];

    if (key == NULL)
        return uuid_new();
    digest_of_pieces(
        digest,
        (struct piece[]){
            {"schema",        6                      },
            {command->tenant, strlen(command->tenant)},
            {key,             strlen(key)            }
    },
        3);
    return uuid_from_digest(digest);
}

static struct making *begin(struct registry *registry, struct command *command)
{
    const Hr__CreateSchema *request = (const Hr__CreateSchema *)command->request;
    struct making *making = arena_calloc(command->arena, 1, sizeof *making);
    Hr__Schema *schema = wire_new(command->arena, &hr__schema__descriptor);
    struct uuid id = make_id(command);

    uuid_format(making->id, &id);
    registry_key(making->key, command->tenant, making->id);
    making->registry = registry;
    making->command = command;
    making->schema = schema;
    schema->has_id = true;
    schema->id = text_of(making->id);
    schema->has_name = true;
    schema->name = request->name;
    schema->has_version = true;
    schema->version = request->has_version ? request->version : 1;
    schema->json_schema = request->json_schema;
    schema->has_tenant_id = true;
    schema->tenant_id = text_of(command->tenant);
    schema->created_at = wire_timestamp(command->arena, timestamp_now_us());
    making->bytes = wire_pack(command->arena, &schema->base);
    return making;
}

static bool has_room(const struct making *making, int64_t max)
{
    size_t count;

    (void)registry_list(making->registry, making->command->tenant, making->command->arena, &count);
    return (int64_t)count < max;
}

void create_on_create(struct registry *registry, struct command *command, int64_t max)
{
    const Hr__CreateSchema *request = (const Hr__CreateSchema *)command->request;
    const Hr__Schema *known;
    struct making *making;

    if (request->name.len == 0) { // in protobuf an absent string is an empty one
        refuse_field(command, "name", "missing", "Field required");
        return;
    }
    if (!registry_is_current(registry)) {
        command_fail(command, RC_UNAVAILABLE); // how many there are is not known
        return;
    }
    if (!is_sound(command, request->json_schema->text))
        return;
    making = begin(registry, command);
    known = registry_known(registry, making->key);
    if (known != NULL)
        answer_with(making, known);
    else if (!has_room(making, max))
        refuse(making, PROBLEM_SCHEMAS_FULL,
               arena_printf(command->arena, "The tenant has %" PRId64 " schemas, which is the most",
                            max));
    else
        put(making);
}
