// schema: keeps the tenants' JSON Schemas, and tells whether a context fits one.
//   takes   hr.v1.cmd.<tenant>.<key>.schema.create|get|list|check
//   writes  $KV.HR_SCHEMAS.<tenant>.<schema_id>, one conditional append per schema
//   any number of copies may run, and any of them may be killed at any moment

#include "broker/message/json_write.h"
#include "broker/run/worker.h"
#include "workers/schema/cache.h"
#include "workers/schema/create.h"

#define CACHE_MAX 64
#define PAGE_DEFAULT 50

struct app {
    int64_t per_tenant;
    struct registry *registry;
    struct cache *cache;
};

static const struct cfg_key keys[] = {
    CFG_I64(struct app, per_tenant, "HR_SCHEMAS_PER_TENANT", "1000", 1, 100000,
            "schemas that a tenant may have"),
    CFG_END,
};

static void on_create(void *ctx, struct command *command)
{
    struct app *app = ctx;

    create_on_create(app->registry, command, app->per_tenant);
}

// --- get and list --------------------------------------------------------------------------------

static void on_got(void *ctx, enum rc rc, const char *key, const Hr__Schema *schema)
{
    struct command *command = ctx;
    const Hr__GetSchema *request = (const Hr__GetSchema *)command->request;
    struct problem problem;

    (void)key;
    if (rc == RC_OK) {
        command_reply(command, &schema->base, 0);
    } else if (rc == RC_NOT_FOUND) {
        (void)problem_set(&problem, command->arena, PROBLEM_NOT_FOUND, "Schema %.*s not found",
                          TEXT_ARGS(request->schema_id));
        command_refuse(command, &problem);
    } else {
        command_fail(command, rc);
    }
}

static void on_get(void *ctx, struct command *command)
{
    struct app *app = ctx;

    registry_find(app->registry, command->tenant,
                  ((const Hr__GetSchema *)command->request)->schema_id, command->arena, on_got,
                  command);
}

static void on_list(void *ctx, struct command *command)
{
    struct app *app = ctx;
    const Hr__ListSchemas *request = (const Hr__ListSchemas *)command->request;
    Hr__SchemaPage *page = wire_new(command->arena, &hr__schema_page__descriptor);
    const Hr__Schema **all;
    size_t count;

    if (!registry_is_current(app->registry)) {
        command_fail(command, RC_UNAVAILABLE);
        return;
    }
    all = registry_list(app->registry, command->tenant, command->arena, &count);
    page->has_total = true;
    page->total = (int64_t)count;
    page->has_limit = true;
    page->limit = request->has_limit ? request->limit : PAGE_DEFAULT;
    page->has_offset = true;
    page->offset = request->has_offset ? request->offset : 0;
    page->schemas = arena_calloc(command->arena, (size_t)page->limit, sizeof(Hr__Schema *));
    for (int64_t i = page->offset; i < page->total && page->n_schemas < (size_t)page->limit; i++)
        page->schemas[page->n_schemas++] = (Hr__Schema *)(uintptr_t)all[i]; // only read
    command_reply(command, &page->base, 0);
}

// --- check ---------------------------------------------------------------------------------------

struct checking {
    struct app *app;
    struct command *command;
};

static void reply_verdict(struct command *command, const char *message)
{
    Hr__SchemaVerdict *verdict = wire_new(command->arena, &hr__schema_verdict__descriptor);

    verdict->has_valid = true;
    verdict->valid = message == NULL;
    verdict->has_message = message != NULL;
    if (message != NULL)
        verdict->message = text_of(message);
    command_reply(command, &verdict->base, 0);
}

static void check(struct checking *checking, const char *key, Text schema)
{
    struct command *command = checking->command;
    const Hr__CheckContext *request = (const Hr__CheckContext *)command->request;
    Text instance = json_of_message(command->arena, &request->context->base);
    const struct validator *validator;
    struct validator_words why;
    struct problem problem;

    if (cache_get(checking->app->cache, &validator, &why, key, schema.data, schema.len) != RC_OK) {
        (void)problem_set(&problem, command->arena, PROBLEM_INTERNAL,
                          "The schema was stored by another version and cannot be used: %s",
                          why.text);
        command_refuse(command, &problem);
    } else if (validator_check(validator, &why, instance.data, instance.len) == RC_OK) {
        reply_verdict(command, NULL);
    } else {
        reply_verdict(command,
                      arena_printf(command->arena, "Context validation failed: %s (at '%s')",
                                   why.text, why.place[0] != '\0' ? why.place : "root"));
    }
}

static void on_found(void *ctx, enum rc rc, const char *key, const Hr__Schema *schema)
{
    struct checking *checking = ctx;
    struct command *command = checking->command;
    const Hr__CheckContext *request = (const Hr__CheckContext *)command->request;

    if (rc == RC_OK && schema->json_schema != NULL)
        check(checking, key, schema->json_schema->text);
    else if (rc == RC_NOT_FOUND)
        reply_verdict(command,
                      arena_printf(command->arena, "Schema '%.*s' not found for this tenant",
                                   TEXT_ARGS(request->schema_id)));
    else
        command_fail(command, rc == RC_OK ? RC_CORRUPT : rc);
}

static void on_check(void *ctx, struct command *command)
{
    struct checking *checking = arena_alloc(command->arena, sizeof *checking);

    *checking = (struct checking){ctx, command};
    registry_find(checking->app->registry, command->tenant,
                  ((const Hr__CheckContext *)command->request)->schema_id, command->arena, on_found,
                  checking);
}

// --- the program ---------------------------------------------------------------------------------

static const struct command_handler handlers[] = {
    {CMD_SCHEMA_CREATE, on_create},
    {CMD_SCHEMA_GET,    on_get   },
    {CMD_SCHEMA_LIST,   on_list  },
    {CMD_SCHEMA_CHECK,  on_check },
};

static bool is_ready(void *ctx, const char **reason)
{
    const struct app *app = ctx;

    *reason = "the schemas are not known";
    return registry_is_current(app->registry);
}

static enum rc on_open(void *ctx, struct run *run)
{
    struct app *app = ctx;

    app->registry = registry_open(run);
    app->cache = cache_create(CACHE_MAX);
    return RC_OK;
}

static void on_close(void *ctx) // also runs when on_open() failed
{
    struct app *app = ctx;

    registry_close(app->registry);
    cache_destroy(app->cache);
}

int main(int argc, char **argv)
{
    static const struct worker_spec spec = {
        .name = "schema",
        .summary = "keeps JSON Schemas, and tells whether a context fits one",
        .keys = keys,
        .handlers = handlers,
        .handler_count = sizeof handlers / sizeof handlers[0],
        .open = on_open,
        .ready = is_ready,
        .close = on_close,
    };
    struct app app = {0};

    return worker_main(argc, argv, &spec, &app);
}
