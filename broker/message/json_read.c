// JSON input: yajl's parser, driven by protobuf descriptors.
//
// yajl calls back for every token; a stack of frames says which message or list the token belongs
// to. There are three modes:
//   filling   the token is a member or an element that the contract knows
//   skipping  inside a value that is unknown, ignored or of the wrong type
//   keeping   inside a free-form value: skipping, and at its end the bytes are taken as they stand
// Where a value starts is known from where the previous token ended; yajl reports the latter.
#include "broker/message/json_read.h"

#include "broker/base/timestamp.h"
#include "broker/base/utf8.h"
#include "broker/message/extra.h"
#include "broker/message/json_refuse.h"
#include "broker/message/json_scalar.h"
#include "broker/message/rules.h"
#include "broker/message/transcript.h"

#include <assert.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define FIELDS_MAX 128 // more than any message of the contract has

struct frame {
    ProtobufCMessage *message;             // being filled; of a list: the message that owns it
    const ProtobufCFieldDescriptor *field; // current member (NULL: unknown), or the repeated field
    unsigned field_index;
    bool is_list;
    size_t start;                   // offset of the opening brace or bracket
    uint64_t seen[FIELDS_MAX / 64]; // bit per field index
    char *items;                    // of a list: in the arena
    size_t count;
    size_t room;
    struct extra extra;     // its unknown members, if the message keeps them
    struct member *unknown; // the one at hand; NULL: what is unknown is dropped
    size_t key_start;
};

struct reader {
    struct arena *arena;
    struct issues *issues;
    const char *text;
    size_t len;
    yajl_handle yajl;
    const ProtobufCMessageDescriptor *root;
    ProtobufCMessage *result;

    struct frame frames[PATH_DEPTH];
    size_t depth;
    struct path path;
    size_t last_end; // offset behind the previous token
    size_t root_end; // offset behind the outermost value; len until it has ended

    size_t skip_depth;                     // > 0: skipping or keeping
    size_t skip_start;                     // offset of the value that is skipped
    size_t keep_start;                     // of what is kept: there, or at the member's name
    Text *keep;                            // keeping into this; NULL: skipping
    struct issue *blame;                   // gets the skipped value as its input; NULL: none
    const ProtobufCFieldDescriptor *field; // of the value at hand; NULL: it is the whole text
    const struct rule *rule;               // of that field
    bool has_half;                         // somewhere in the text stands half of a surrogate pair
    size_t half_start; // offset of the last value that was refused for one; len: none yet
    bool too_deep;
};

static size_t position(const struct reader *r)
{
    return yajl_get_bytes_consumed(r->yajl);
}

// Between the previous token and this one there are only blanks and one of ':' and ','.
static size_t value_start(const struct reader *r)
{
    size_t at = r->last_end;

    while (at < r->len && strchr(" \t\r\n:,", r->text[at]) != NULL)
        at++;
    return at;
}

// Empty when the token is a bare number at the end of the text, whose position yajl cannot tell.
static Text slice(const struct reader *r, size_t start, size_t end)
{
    if (end < start)
        end = start;
    return (Text){end - start, (uint8_t *)(uintptr_t)(r->text + start)};
}

// yajl's own buffer is gone with the next token; the source stays.
static Text keep_text(struct reader *r, const char *text, size_t len)
{
    if (text >= r->text && text <= r->text + r->len)
        return (Text){len, (uint8_t *)(uintptr_t)text};
    return text_copy(r->arena, text, len);
}

static struct frame *top(struct reader *r)
{
    return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

static bool holds_secret(const struct reader *r)
{
    if (r->field == NULL)
        return rules_hold_secret(r->root);
    return (r->rule->flags & RULE_SECRET) != 0 ||
           (r->field->type == PROTOBUF_C_TYPE_MESSAGE && rules_hold_secret(r->field->descriptor));
}

static void skip(struct reader *r, const struct token *token, struct issue *blame)
{
    if (blame != NULL && holds_secret(r))
        blame = NULL; // an issue does not repeat it
    if (token_is_container(token)) {
        r->skip_depth = 1;
        r->skip_start = token->start;
        r->keep_start = token->start;
        r->keep = NULL;
        r->blame = blame;
    } else if (blame != NULL) {
        blame->input = slice(r, token->start, position(r));
    }
}

static void blame(struct reader *r, const struct token *token, const char *type,
                  const char *message)
{
    skip(r, token, issues_add(r->issues, &r->path, type, message));
}

static bool is_seen(const struct frame *frame, unsigned field)
{
    return (frame->seen[field / 64] & (1ULL << field % 64)) != 0;
}

static void push(struct reader *r, ProtobufCMessage *message, const ProtobufCFieldDescriptor *list,
                 size_t start)
{
    assert(r->depth < PATH_DEPTH && message->descriptor->n_fields <= FIELDS_MAX);
    r->frames[r->depth++] = (struct frame){.message = message,
                                           .field = list,
                                           .is_list = list != NULL,
                                           .start = start,
                                           .extra = {.arena = r->arena}};
}

// --- single values -------------------------------------------------------------------------------

static void put_timestamp(struct reader *r, const struct token *token,
                          Google__Protobuf__Timestamp **slot)
{
    struct issue *issue;
    const char *error;
    int64_t us;

    if (token->kind != KIND_STRING && token->kind != KIND_NUMBER) {
        blame(r, token, "datetime_type", "Input should be a valid datetime");
        return;
    }
    error = timestamp_parse(token->text, token->len, &us);
    if (error != NULL) {
        issue = issues_add(
            r->issues, &r->path, "datetime_from_date_parsing",
            arena_printf(r->arena, "Input should be a valid datetime or date, %s", error));
        issue->ctx = issues_reason(r->arena, error);
        skip(r, token, issue);
        return;
    }
    *slot = wire_timestamp(r->arena, us);
}

static void put_json(struct reader *r, const struct token *token, unsigned flags, Hr__Json **slot)
{
    if ((flags & RULE_OBJECT) != 0 && token->kind != KIND_OBJECT) {
        blame(r, token, "dict_type", "Input should be a valid dictionary");
        return;
    }
    if ((flags & RULE_COMPOUND) != 0 && token->kind != KIND_STRING && !token_is_container(token)) {
        blame(r, token, "compound_type", "Input should be a string, an object or a list");
        return;
    }
    *slot = wire_json(r->arena, slice(r, token->start, position(r)));
    if (token_is_container(token)) {
        skip(r, token, NULL);
        r->keep = &(*slot)->text;
    }
}

static void put_message(struct reader *r, const struct token *token,
                        const ProtobufCFieldDescriptor *field, unsigned flags, void *slot)
{
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    ProtobufCMessage *message;

    if (descriptor == &hr__json__descriptor) {
        put_json(r, token, flags, slot);
        return;
    }
    if (descriptor == &google__protobuf__timestamp__descriptor) {
        put_timestamp(r, token, slot);
        return;
    }
    if (wire_is_list(descriptor)) {
        if (token->kind != KIND_ARRAY) {
            blame(r, token, "list_type", "Input should be a valid list");
            return;
        }
        message = wire_new(r->arena, descriptor);
        push(r, message, &descriptor->fields[0], token->start);
    } else {
        if (token->kind != KIND_OBJECT) {
            blame(r, token, "model_attributes_type",
                  "Input should be a valid dictionary or object to extract fields from");
            return;
        }
        message = wire_new(r->arena, descriptor);
        push(r, message, NULL, token->start);
    }
    *(ProtobufCMessage **)slot = message;
}

static void put_enum(struct reader *r, const struct token *token,
                     const ProtobufCFieldDescriptor *field, int *slot, protobuf_c_boolean *has)
{
    const char *choices;
    struct issue *issue;

    if (token->kind == KIND_STRING &&
        wire_enum_parse(field->descriptor, token->text, token->len, slot)) {
        *has = true;
        return;
    }
    choices = wire_enum_choices(r->arena, field->descriptor);
    issue = issues_add(r->issues, &r->path, "enum",
                       arena_printf(r->arena, "Input should be %s", choices));
    issue->ctx = text_of(arena_printf(r->arena, "{\"expected\":\"%s\"}", choices));
    skip(r, token, issue);
}

// slot: where the value goes; has: its presence flag, a scratch one for elements of a list.
static void put_value(struct reader *r, const struct token *token,
                      const ProtobufCFieldDescriptor *field, unsigned flags, void *slot,
                      protobuf_c_boolean *has)
{
    const char *error;
    int64_t integer;

    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(r, token, field, flags, slot);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(r, token, field, slot, has);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        if (token->kind != KIND_STRING) {
            if ((flags & RULE_UUID) != 0)
                blame(r, token, "uuid_type", "UUID input should be a string, bytes or UUID object");
            else
                blame(r, token, "string_type", "Input should be a valid string");
            return;
        }
        *(Text *)slot = keep_text(r, token->text, token->len);
        *has = true;
        return;
    case PROTOBUF_C_TYPE_BOOL:
        if (token_is_container(token) || token->kind == KIND_NULL) {
            blame(r, token, "bool_type", "Input should be a valid boolean");
            return;
        }
        *has = json_parse_bool(token, slot);
        if (!*has)
            blame(r, token, "bool_parsing",
                  "Input should be a valid boolean, unable to interpret input");
        return;
    case PROTOBUF_C_TYPE_INT64:
        error = json_parse_integer(token, &integer);
        if (error != NULL) {
            blame(r, token, error, json_integer_message(error));
            return;
        }
        *(int64_t *)slot = integer;
        *has = true;
        return;
    default:
        assert(false && "a field type the contract does not take as input");
    }
}

// --- half of a surrogate pair --------------------------------------------------------------------

static bool has_half(const struct reader *r, size_t start)
{
    size_t end = position(r);

    return r->has_half && end > start &&
           json_find_half_pair(r->text + start, end - start) < end - start;
}

// Half of a pair names no character, so the string or key that ends here is refused where it
// stands. Of a value that is kept or skipped as a whole only the first one is reported.
static void refuse_half(struct reader *r, size_t start)
{
    size_t value = r->skip_depth > 0 ? r->skip_start : start;

    if (value == r->half_start || !has_half(r, start))
        return;
    r->half_start = value;
    (void)issues_add(r->issues, &r->path, "string_unicode",
                     "Input should be a valid string, half of a surrogate pair is no character");
}

// --- members and elements ------------------------------------------------------------------------

// With its name, as it stands.
static void keep_unknown(struct reader *r, struct frame *frame, const struct token *token)
{
    skip(r, token, NULL);
    if (frame->unknown == NULL)
        return;
    if (!token_is_container(token)) {
        frame->unknown->raw = slice(r, frame->key_start, position(r));
        return;
    }
    r->keep = &frame->unknown->raw;
    r->keep_start = frame->key_start;
}

static void member(struct reader *r, struct frame *frame, const struct token *token)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    const struct rule *rule;
    char *base = (char *)frame->message;

    if (field == NULL) {
        keep_unknown(r, frame, token);
        return;
    }
    rule = rules_of(frame->message->descriptor, frame->field_index);
    r->field = field;
    r->rule = rule;
    if ((rule->flags & RULE_SERVER) != 0) {
        skip(r, token, NULL);
        return;
    }
    if ((rule->flags & RULE_OR_PARTS) != 0 &&
        (token->kind == KIND_ARRAY || token->kind == KIND_NULL)) {
        put_json(r, token, 0, transcript_parts(frame->message));
        return;
    }
    if (token->kind == KIND_NULL) {
        bool nullable = (rule->flags & RULE_REQUIRED) == 0 && rule->fallback == NULL &&
                        field->label != PROTOBUF_C_LABEL_REPEATED;
        if (nullable)
            return;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        if (token->kind != KIND_ARRAY)
            blame(r, token, "list_type", "Input should be a valid list");
        else
            push(r, frame->message, field, token->start);
        return;
    }
    put_value(r, token, field, rule->flags, base + field->offset,
              (protobuf_c_boolean *)(base + field->quantifier_offset));
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    assert(field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE);
    return field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(Text) : sizeof(void *);
}

static const struct rule *list_rule(const struct frame *frame)
{
    const ProtobufCMessageDescriptor *descriptor = frame->message->descriptor;

    return rules_of(descriptor, (unsigned)(frame->field - descriptor->fields));
}

static void element(struct reader *r, struct frame *frame, const struct token *token)
{
    size_t size = element_size(frame->field);
    protobuf_c_boolean has = false;
    void *slot;

    r->field = frame->field;
    r->rule = list_rule(frame);
    if ((int64_t)frame->count >= r->rule->max) {
        frame->count++; // only to say how many there are
        skip(r, token, NULL);
        return;
    }
    if (frame->count == frame->room) {
        size_t room = frame->room > 0 ? frame->room * 2 : 8;
        char *items = arena_calloc(r->arena, room, size);

        if (frame->count > 0)
            memcpy(items, frame->items, frame->count * size);
        frame->items = items;
        frame->room = room;
    }
    slot = frame->items + frame->count * size;
    put_value(r, token, frame->field, 0, slot, &has);
    // An element that was refused leaves a hole; the issue keeps the message from being used, but
    // what walks it must not meet a NULL.
    if (frame->field->type == PROTOBUF_C_TYPE_MESSAGE && *(void **)slot == NULL)
        *(void **)slot = wire_new(r->arena, frame->field->descriptor);
    frame->count++;
}

static void value(struct reader *r, const struct token *token)
{
    struct frame *frame = top(r);

    if (frame == NULL) {
        if (token->kind == KIND_OBJECT) {
            r->result = wire_new(r->arena, r->root);
            push(r, r->result, NULL, token->start);
        } else if (token->kind == KIND_NULL) {
            blame(r, token, "missing", "Field required");
        } else {
            blame(r, token, "model_attributes_type",
                  "Input should be a valid dictionary or object to extract fields from");
        }
        return;
    }
    if (frame->is_list) {
        path_push_index(&r->path, frame->count);
        element(r, frame, token);
    } else {
        member(r, frame, token);
    }
}

// A value is finished: the path step that named it goes.
static void value_done(struct reader *r)
{
    if (r->depth == 0)
        r->root_end = position(r);
    if (r->path.depth > 1)
        path_pop(&r->path);
}

static int on_value(struct reader *r, enum kind kind, const char *text, size_t len)
{
    size_t start = value_start(r);
    bool is_half = kind == KIND_STRING && has_half(r, start);
    // What yajl makes of half of a pair is no UTF-8, and an error might repeat it.
    struct token token = {kind, is_half ? "?" : text, is_half ? 1 : len, start};

    if (is_half && r->skip_depth > 0)
        refuse_half(r, start);
    if (r->skip_depth == 0) {
        value(r, &token);
        if (is_half)
            refuse_half(r, start);
        if (!token_is_container(&token))
            value_done(r);
    } else if (token_is_container(&token)) {
        r->skip_depth++;
    }
    if (r->skip_depth + r->depth > JSON_DEPTH_MAX) {
        r->too_deep = true;
        return 0;
    }
    r->last_end = position(r);
    return 1;
}

// --- ends of containers --------------------------------------------------------------------------

static void skip_end(struct reader *r)
{
    size_t end = position(r);

    if (--r->skip_depth > 0)
        return;
    if (r->keep != NULL)
        *r->keep = slice(r, r->keep_start, end);
    if (r->blame != NULL)
        r->blame->input = slice(r, r->skip_start, end);
    r->keep = NULL;
    r->blame = NULL;
    value_done(r);
}

static void message_end(struct reader *r)
{
    struct frame *frame = top(r);
    const ProtobufCMessageDescriptor *descriptor = frame->message->descriptor;

    if (extra_field(descriptor) != NULL)
        *extra_slot(frame->message) = extra_json(&frame->extra);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        struct issue *issue;

        if ((rules_of(descriptor, i)->flags & RULE_REQUIRED) == 0 || is_seen(frame, i))
            continue;
        path_push_name(&r->path, text_of(descriptor->fields[i].name));
        issue = issues_add(r->issues, &r->path, "missing", "Field required");
        if (!rules_hold_secret(descriptor))
            issue->input = slice(r, frame->start, position(r));
        path_pop(&r->path);
    }
}

static void list_end(struct reader *r)
{
    struct frame *frame = top(r);
    char *base = (char *)frame->message;
    int64_t max = list_rule(frame)->max;

    if ((int64_t)frame->count > max) {
        issues_add_count(r->issues, &r->path, false, max, frame->count);
        frame->count = (size_t)max;
    }
    *(size_t *)(base + frame->field->quantifier_offset) = frame->count;
    *(char **)(base + frame->field->offset) = frame->items;
}

static int on_end(struct reader *r)
{
    if (r->skip_depth > 0) {
        skip_end(r);
    } else {
        if (top(r)->is_list)
            list_end(r);
        else
            message_end(r);
        r->depth--;
        value_done(r);
    }
    r->last_end = position(r);
    return 1;
}

// --- yajl's callbacks ----------------------------------------------------------------------------

static int on_null(void *ctx)
{
    return on_value(ctx, KIND_NULL, "", 0);
}

static int on_boolean(void *ctx, int is_true)
{
    return on_value(ctx, KIND_BOOL, is_true ? "1" : "", is_true ? 1 : 0);
}

static int on_number(void *ctx, const char *text, size_t len)
{
    return on_value(ctx, KIND_NUMBER, text, len);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    return on_value(ctx, KIND_STRING, (const char *)text, len);
}

static int on_object(void *ctx)
{
    return on_value(ctx, KIND_OBJECT, "", 0);
}

static int on_array(void *ctx)
{
    return on_value(ctx, KIND_ARRAY, "", 0);
}

static int on_container_end(void *ctx)
{
    return on_end(ctx);
}

static void refuse_member(struct reader *r, const char *type, const char *message)
{
    (void)issues_add(r->issues, &r->path, type, message);
}

static void known_key(struct reader *r, struct frame *frame)
{
    frame->field_index = (unsigned)(frame->field - frame->message->descriptor->fields);
    if (is_seen(frame, frame->field_index)) {
        refuse_member(r, "duplicate_key", "Member appears more than once");
        frame->field = NULL;
    }
    frame->seen[frame->field_index / 64] |= 1ULL << frame->field_index % 64;
}

static void unknown_key(struct reader *r, struct frame *frame, Text name)
{
    const ProtobufCMessageDescriptor *descriptor = frame->message->descriptor;
    bool were_too_many = frame->extra.too_many;

    if (extra_field(descriptor) == NULL || extra_is_reserved(descriptor, name))
        return;
    frame->unknown = extra_add(&frame->extra, name);
    if (frame->unknown == NULL && !frame->extra.too_many)
        refuse_member(r, "duplicate_key", "Member appears more than once");
    else if (frame->extra.too_many && !were_too_many)
        refuse_member(r, "too_many_members", "Object should have at most 1000 unknown members");
}

static int on_key(void *ctx, const unsigned char *key, size_t len)
{
    struct reader *r = ctx;
    struct frame *frame = top(r);
    size_t start = value_start(r);
    Text name;

    refuse_half(r, start);
    r->last_end = position(r);
    if (r->skip_depth > 0)
        return 1;
    name = has_half(r, start) ? text_of("?") : keep_text(r, (const char *)key, len);
    path_push_name(&r->path, name);
    frame->key_start = start;
    frame->unknown = NULL;
    frame->field = extra_known(frame->message->descriptor, name);
    if (frame->field != NULL)
        known_key(r, frame);
    else
        unknown_key(r, frame, name);
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_container_end,
    .yajl_start_array = on_array,
    .yajl_end_array = on_container_end,
};

// --- the whole text ------------------------------------------------------------------------------

static enum rc parse(struct reader *r, struct problem *problem)
{
    const unsigned char *bytes = (const unsigned char *)r->text;
    yajl_status status = yajl_parse(r->yajl, bytes, r->len);
    size_t offset = position(r);

    // yajl sees no garbage in half a token.
    if (status == yajl_status_ok && !json_is_blank(r->text + r->root_end, r->len - r->root_end))
        return json_refuse(problem, r->arena, r->root_end, "trailing garbage");
    if (status == yajl_status_ok)
        status = yajl_complete_parse(r->yajl);
    if (r->too_deep)
        return json_refuse(problem, r->arena, offset, "nested too deeply");
    if (status != yajl_status_ok)
        return json_refuse(problem, r->arena, offset, json_reason(r->yajl, r->arena));
    return RC_OK;
}

enum rc json_read(ProtobufCMessage **message, struct arena *arena,
                  const ProtobufCMessageDescriptor *descriptor, const void *text, size_t len,
                  struct issues *issues, struct problem *problem)
{
    struct reader reader = {
        .arena = arena, .issues = issues, .text = text, .len = len, .root = descriptor};
    size_t offset;
    enum rc rc;

    if (!utf8_is_valid(text, len))
        return problem_set(problem, arena, PROBLEM_UNPARSABLE,
                           "There was an error parsing the body");
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        reader.text += 3;
        reader.len -= 3;
    }
    reader.root_end = reader.len;
    reader.half_start = reader.len;
    path_push_name(&reader.path, text_of("body"));
    if (json_is_blank(reader.text, reader.len)) {
        issues_add(issues, &reader.path, "missing", "Field required")->input = text_of("null");
        *message = wire_new(arena, descriptor);
        return RC_OK;
    }
    reader.has_half = json_find_half_pair(reader.text, reader.len) < reader.len;
    offset = json_find_false_blank(reader.text, reader.len);
    if (offset < reader.len)
        return json_refuse(problem, arena, offset, "invalid char in json text.");

    reader.yajl = yajl_alloc(&callbacks, NULL, &reader);
    if (reader.yajl == NULL)
        abort();
    yajl_config(reader.yajl, yajl_dont_validate_strings, 1); // done above, faster
    rc = parse(&reader, problem);
    yajl_free(reader.yajl);
    if (rc != RC_OK)
        return rc;
    *message = reader.result != NULL ? reader.result : wire_new(arena, descriptor);
    return RC_OK;
}
