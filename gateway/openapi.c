// The OpenAPI 3.1 document.
//
// Nothing here names a field or a path: paths come from the route table, schemas from the
// descriptors and the rules that also read and check requests, so the document cannot say what the
// code does not do.
#include "gateway/openapi.h"

#include "broker/message/extra.h"
#include "broker/message/json_write.h"
#include "broker/message/rules.h"
#include "broker/message/transcript.h"
#include "broker/nats/subjects.h"
#include "gateway/routes.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#define SCHEMAS_MAX 96

struct document {
    struct json_writer *out;
    const ProtobufCMessageDescriptor *schemas[SCHEMAS_MAX]; // that something refers to
    size_t schema_count;
};

static void put(struct document *doc, const char *key, const char *value)
{
    json_key(doc->out, key);
    json_string(doc->out, value);
}

static void put_reference(struct document *doc, const ProtobufCMessageDescriptor *descriptor)
{
    char target[128];
    size_t i = 0;

    while (i < doc->schema_count && doc->schemas[i] != descriptor)
        i++;
    assert(i < SCHEMAS_MAX); // the types are known when it is built: a test writes the document
    if (i == doc->schema_count)
        doc->schemas[doc->schema_count++] = descriptor;
    (void)snprintf(target, sizeof target, "#/components/schemas/%s", descriptor->short_name);
    put(doc, "$ref", target);
}

static void put_enum(struct document *doc, const ProtobufCEnumDescriptor *descriptor)
{
    char name[ENUM_TEXT_BYTES];

    put(doc, "type", "string");
    json_key(doc->out, "enum");
    json_array_open(doc->out);
    for (unsigned i = 1; i < descriptor->n_values; i++)
        json_string(doc->out, wire_enum_text(name, descriptor, descriptor->values[i].value));
    json_array_close(doc->out);
}

static void put_field_schema(struct document *doc, const ProtobufCFieldDescriptor *field,
                             const struct rule *rule);

static void put_array(struct document *doc, const ProtobufCFieldDescriptor *field)
{
    static const struct rule none = {.min = INT64_MIN, .max = INT64_MAX};
    ProtobufCFieldDescriptor element = *field;

    element.label = PROTOBUF_C_LABEL_OPTIONAL;
    put(doc, "type", "array");
    json_key(doc->out, "items");
    json_object_open(doc->out);
    put_field_schema(doc, &element, &none);
    json_object_close(doc->out);
}

static void put_message(struct document *doc, const ProtobufCMessageDescriptor *descriptor,
                        const struct rule *rule)
{
    if (descriptor == &google__protobuf__timestamp__descriptor) {
        put(doc, "type", "string");
        put(doc, "format", "date-time");
    } else if (descriptor == &hr__json__descriptor) {
        if ((rule->flags & RULE_OBJECT) != 0)
            put(doc, "type", "object");
        put(doc, "description", "Free-form JSON, kept exactly as it was sent");
    } else if (wire_is_list(descriptor)) {
        put_array(doc, &descriptor->fields[0]);
    } else {
        put_reference(doc, descriptor);
    }
}

static void put_text_type(struct document *doc, const struct rule *rule)
{
    if ((rule->flags & RULE_OR_PARTS) == 0) {
        put(doc, "type", "string");
        return;
    }
    json_key(doc->out, "type");
    json_array_open(doc->out);
    json_string(doc->out, "string");
    json_string(doc->out, "array");
    json_string(doc->out, "null");
    json_array_close(doc->out);
}

static void put_field_schema(struct document *doc, const ProtobufCFieldDescriptor *field,
                             const struct rule *rule)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        put_array(doc, field);
        return;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        put_text_type(doc, rule);
        if ((rule->flags & RULE_UUID) != 0)
            put(doc, "format", "uuid");
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(doc, field->descriptor, rule);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(doc, field->descriptor);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        put(doc, "type", "boolean");
        return;
    default:
        put(doc, "type", "integer");
        if (rule->min != INT64_MIN) {
            json_key(doc->out, "minimum");
            json_integer(doc->out, rule->min);
        }
        if (rule->max != INT64_MAX) {
            json_key(doc->out, "maximum");
            json_integer(doc->out, rule->max);
        }
        return;
    }
}

// null is a value of every member that may be absent without having a fallback.
static bool is_nullable(const ProtobufCFieldDescriptor *field, const struct rule *rule)
{
    return field->label != PROTOBUF_C_LABEL_REPEATED && (rule->flags & RULE_REQUIRED) == 0 &&
           rule->fallback == NULL;
}

static void put_member(struct document *doc, const ProtobufCFieldDescriptor *field,
                       const struct rule *rule)
{
    json_key(doc->out, field->name);
    json_object_open(doc->out);
    if (is_nullable(field, rule)) {
        json_key(doc->out, "anyOf");
        json_array_open(doc->out);
        json_object_open(doc->out);
        put_field_schema(doc, field, rule);
        json_object_close(doc->out);
        json_object_open(doc->out);
        put(doc, "type", "null");
        json_object_close(doc->out);
        json_array_close(doc->out);
    } else {
        put_field_schema(doc, field, rule);
    }
    if ((rule->flags & RULE_SERVER) != 0) {
        json_key(doc->out, "readOnly");
        json_bool(doc->out, true);
    }
    json_object_close(doc->out);
}

static void put_schema(struct document *doc, const ProtobufCMessageDescriptor *descriptor)
{
    json_key(doc->out, descriptor->short_name);
    json_object_open(doc->out);
    put(doc, "type", "object");
    json_key(doc->out, "properties");
    json_object_open(doc->out);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if ((rules_of(descriptor, i)->flags & RULE_HIDDEN) == 0)
            put_member(doc, &descriptor->fields[i], rules_of(descriptor, i));
    }
    json_object_close(doc->out);
    if (extra_field(descriptor) != NULL) {
        json_key(doc->out, "additionalProperties"); // they are kept
        json_bool(doc->out, true);
    }
    json_key(doc->out, "required");
    json_array_open(doc->out);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if ((rules_of(descriptor, i)->flags & RULE_REQUIRED) != 0)
            json_string(doc->out, descriptor->fields[i].name);
    }
    json_array_close(doc->out);
    json_object_close(doc->out);
}

// Ends in the middle of its schema.
static void begin_parameter(struct document *doc, const char *name, const char *where,
                            bool required)
{
    json_object_open(doc->out);
    put(doc, "name", name);
    put(doc, "in", where);
    json_key(doc->out, "required");
    json_bool(doc->out, required);
    json_key(doc->out, "schema");
    json_object_open(doc->out);
}

static void end_parameter(struct document *doc)
{
    json_object_close(doc->out);
    json_object_close(doc->out);
}

// Whatever stands in braces.
static void put_path_parameters(struct document *doc, const char *path)
{
    for (const char *at = strchr(path, '{'); at != NULL; at = strchr(at, '{')) {
        char name[32];

        at++;
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "}"), at);
        begin_parameter(doc, name, "path", true);
        put(doc, "type", "string");
        if (strcmp(name, "schema_id") != 0)
            put(doc, "format", "uuid");
        end_parameter(doc);
    }
}

static void put_query_parameters(struct document *doc, const struct route *route)
{
    const ProtobufCMessageDescriptor *query = route_query(route);

    for (unsigned i = 0; query != NULL && i < query->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &query->fields[i];
        const struct rule *rule = rules_of(query, i);

        if (route_has_in_path(route, field->name))
            continue;
        begin_parameter(doc, field->name, "query", (rule->flags & RULE_REQUIRED) != 0);
        put_field_schema(doc, field, rule);
        end_parameter(doc);
    }
}

static void put_header(struct document *doc, const char *name, const char *type)
{
    begin_parameter(doc, name, "header", false);
    put(doc, "type", type);
    end_parameter(doc);
}

static void put_durability(struct document *doc)
{
    begin_parameter(doc, "X-HR-Durability", "header", false);
    put(doc, "type", "string");
    json_key(doc->out, "enum");
    json_array_open(doc->out);
    json_string(doc->out, "audited");
    json_array_close(doc->out);
    end_parameter(doc);
}

// No message holds itself, so this ends. An own part comes as it is stored in any case.
static bool holds_entries(const ProtobufCMessageDescriptor *descriptor)
{
    if (descriptor == &hr__own_part__descriptor)
        return false;
    if (descriptor == &hr__conversation_entry__descriptor)
        return true;
    for (unsigned i = 0; descriptor != NULL && i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->type == PROTOBUF_C_TYPE_MESSAGE && holds_entries(field->descriptor))
            return true;
    }
    return false;
}

// Entries of transcripts as they were sent; without it they come as plain ones.
static void put_transcript(struct document *doc)
{
    begin_parameter(doc, HEADER_TRANSCRIPT, "header", false);
    put(doc, "type", "string");
    json_key(doc->out, "enum");
    json_array_open(doc->out);
    json_string(doc->out, TRANSCRIPT_AS_SENT);
    json_array_close(doc->out);
    end_parameter(doc);
}

static void put_parameters(struct document *doc, const struct route *route)
{
    json_key(doc->out, "parameters");
    json_array_open(doc->out);
    put_path_parameters(doc, route->path);
    put_query_parameters(doc, route);
    if (strcmp(route->method, "GET") != 0)
        put_header(doc, "Idempotency-Key", "string");
    if ((route_flags(route) & COMMAND_FENCED) != 0) {
        put_header(doc, "If-Match", "string");
        put_header(doc, "X-HR-Claim", "integer");
    }
    if ((route_flags(route) & COMMAND_READS) != 0)
        put_header(doc, "X-HR-Min-Seq", "integer");
    if ((route_flags(route) & COMMAND_CHANGES) != 0)
        put_durability(doc);
    if (holds_entries(route_reply(route)))
        put_transcript(doc);
    json_array_close(doc->out);
}

static void put_content(struct document *doc, const ProtobufCMessageDescriptor *descriptor)
{
    json_key(doc->out, "content");
    json_object_open(doc->out);
    json_key(doc->out, "application/json");
    json_object_open(doc->out);
    json_key(doc->out, "schema");
    json_object_open(doc->out);
    if (wire_is_list(descriptor))
        put_array(doc, &descriptor->fields[0]);
    else
        put_reference(doc, descriptor);
    json_object_close(doc->out);
    json_object_close(doc->out);
    json_object_close(doc->out);
}

// Of what is no message: its types, each for what it is.
static void put_media(struct document *doc, const char *media)
{
    json_key(doc->out, "content");
    json_object_open(doc->out);
    while (*media != '\0') {
        size_t len = strcspn(media, " ");
        char type[64];

        (void)snprintf(type, sizeof type, "%.*s", (int)len, media);
        json_key(doc->out, type);
        json_object_open(doc->out);
        json_object_close(doc->out);
        media += len + (media[len] == ' ' ? 1 : 0);
    }
    json_object_close(doc->out);
}

static void put_success(struct document *doc, const struct route *route)
{
    char status[8];

    (void)snprintf(status, sizeof status, "%u", route->success);
    json_key(doc->out, status);
    json_object_open(doc->out);
    put(doc, "description", "Done");
    if (route_reply(route) != NULL)
        put_content(doc, route_reply(route));
    else if (route_media(route) != NULL)
        put_media(doc, route_media(route));
    json_object_close(doc->out);
}

static void put_nothing(struct document *doc)
{
    json_key(doc->out, "204");
    json_object_open(doc->out);
    put(doc, "description", "There is nothing");
    json_object_close(doc->out);
}

#define REFUSAL "Refusal"

static void put_refusal(struct document *doc)
{
    json_key(doc->out, "default");
    json_object_open(doc->out);
    put(doc, "description", "Refused; detail says why and code names it");
    json_key(doc->out, "content");
    json_object_open(doc->out);
    json_key(doc->out, "application/json");
    json_object_open(doc->out);
    json_key(doc->out, "schema");
    json_object_open(doc->out);
    put(doc, "$ref", "#/components/schemas/" REFUSAL);
    json_object_close(doc->out);
    json_object_close(doc->out);
    json_object_close(doc->out);
    json_object_close(doc->out);
}

// As problem_body writes it. detail: a text, an object, or a list of validation items.
static void put_refusal_schema(struct document *doc)
{
    static const char *const texts[] = {"code", "field", "request_id"};

    json_key(doc->out, REFUSAL);
    json_object_open(doc->out);
    put(doc, "type", "object");
    json_key(doc->out, "properties");
    json_object_open(doc->out);
    json_key(doc->out, "detail");
    json_object_open(doc->out);
    json_object_close(doc->out);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_key(doc->out, texts[i]);
        json_object_open(doc->out);
        put(doc, "type", "string");
        json_object_close(doc->out);
    }
    json_object_close(doc->out);
    json_key(doc->out, "required");
    json_array_open(doc->out);
    json_string(doc->out, "detail");
    json_string(doc->out, "code");
    json_array_close(doc->out);
    json_object_close(doc->out);
}

static void put_operation(struct document *doc, const struct route *route)
{
    char method[8];

    for (size_t i = 0; i <= strlen(route->method) && i < sizeof method; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    json_key(doc->out, method);
    json_object_open(doc->out);
    put(doc, "operationId", route->operation);
    put(doc, "summary", route->summary);
    put_parameters(doc, route);
    if (route_body(route) != NULL) {
        json_key(doc->out, "requestBody");
        json_object_open(doc->out);
        json_key(doc->out, "required");
        json_bool(doc->out, true);
        put_content(doc, route_body(route));
        json_object_close(doc->out);
    }
    json_key(doc->out, "responses");
    json_object_open(doc->out);
    put_success(doc, route);
    if ((route_flags(route) & COMMAND_EMPTY) != 0)
        put_nothing(doc);
    put_refusal(doc);
    json_object_close(doc->out);
    json_key(doc->out, "security");
    json_array_open(doc->out);
    if (route_role(route) != ROLE_NONE) {
        json_object_open(doc->out);
        json_key(doc->out, "ApiKey");
        json_array_open(doc->out);
        json_array_close(doc->out);
        json_object_close(doc->out);
    }
    json_array_close(doc->out);
    json_object_close(doc->out);
}

static void put_paths(struct document *doc)
{
    json_key(doc->out, "paths");
    json_object_open(doc->out);
    for (const struct route *route = routes; route->method != NULL; route++) {
        if (route != routes && strcmp(route->path, (route - 1)->path) == 0)
            continue; // the rows of one path stand together
        json_key(doc->out, route->path);
        json_object_open(doc->out);
        for (const struct route *same = route;
             same->method != NULL && strcmp(same->path, route->path) == 0; same++)
            put_operation(doc, same);
        json_object_close(doc->out);
    }
    json_object_close(doc->out);
}

static void put_components(struct document *doc)
{
    json_key(doc->out, "components");
    json_object_open(doc->out);
    json_key(doc->out, "schemas");
    json_object_open(doc->out);
    for (size_t i = 0; i < doc->schema_count; i++) // writing one may add others
        put_schema(doc, doc->schemas[i]);
    put_refusal_schema(doc);
    json_object_close(doc->out);
    json_key(doc->out, "securitySchemes");
    json_object_open(doc->out);
    json_key(doc->out, "ApiKey");
    json_object_open(doc->out);
    put(doc, "type", "apiKey");
    put(doc, "in", "header");
    put(doc, "name", "X-API-Key");
    json_object_close(doc->out);
    json_object_close(doc->out);
    json_object_close(doc->out);
}

Text openapi_document(struct arena *arena)
{
    struct buf out = {0};
    struct document doc = {.out = json_writer_create(&out)};
    Text text;

    json_object_open(doc.out);
    put(&doc, "openapi", "3.1.0");
    json_key(doc.out, "info");
    json_object_open(doc.out);
    put(&doc, "title", "HandoffRail");
    put(&doc, "version", HR_VERSION);
    json_object_close(doc.out);
    put_paths(&doc);
    put_components(&doc);
    json_object_close(doc.out);
    text = json_writer_finish(doc.out, arena);
    return text;
}
