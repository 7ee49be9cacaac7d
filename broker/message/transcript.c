// A plain entry has one of the first four roles and a text; everything else is made one here.
#include "broker/message/transcript.h"

#include "broker/message/json_write.h"
#include "broker/message/members.h"

#include <assert.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define ORIGINAL "original"

Hr__Json **transcript_parts(ProtobufCMessage *message)
{
    assert(message->descriptor == &hr__conversation_entry__descriptor);
    return &((Hr__ConversationEntry *)message)->content_json;
}

// --- the texts of parts --------------------------------------------------------------------------

struct reader {
    struct buf *out;
    size_t depth; // 1: in the list; 2: in a part
    bool is_text; // the value that comes is a part's text
    bool is_first;
};

static int skip_value(void *ctx)
{
    ((struct reader *)ctx)->is_text = false;
    return 1;
}

static int skip_boolean(void *ctx, int value)
{
    (void)value;
    return skip_value(ctx);
}

static int skip_number(void *ctx, const char *text, size_t len)
{
    (void)text;
    (void)len;
    return skip_value(ctx);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    struct reader *r = ctx;

    if (r->depth == 1 || r->is_text) {
        if (!r->is_first)
            buf_append(r->out, "\n", 1);
        buf_append(r->out, text, len);
        r->is_first = false;
    }
    r->is_text = false;
    return 1;
}

static int on_start(void *ctx)
{
    struct reader *r = ctx;

    r->depth++;
    r->is_text = false;
    return 1;
}

static int on_key(void *ctx, const unsigned char *key, size_t len)
{
    struct reader *r = ctx;

    r->is_text = r->depth == 2 && len == 4 && memcmp(key, "text", 4) == 0;
    return 1;
}

static int on_end(void *ctx)
{
    ((struct reader *)ctx)->depth--;
    return 1;
}

void transcript_text(struct buf *out, Text parts)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = skip_value,
        .yajl_boolean = skip_boolean,
        .yajl_number = skip_number,
        .yajl_string = on_string,
        .yajl_start_map = on_start,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end,
        .yajl_start_array = on_start,
        .yajl_end_array = on_end,
    };
    struct reader reader = {.out = out, .is_first = true};
    yajl_handle yajl = yajl_alloc(&callbacks, NULL, &reader);

    if (yajl == NULL)
        abort();
    yajl_config(yajl, yajl_dont_validate_strings, 1); // done when it was taken
    (void)yajl_parse(yajl, parts.data, parts.len);
    yajl_free(yajl);
}

// --- plain entries -------------------------------------------------------------------------------

static bool is_plain(const Hr__ConversationEntry *entry)
{
    return entry->content_json == NULL && entry->role != HR__ROLE__ROLE_ASSISTANT &&
           entry->role != HR__ROLE__ROLE_TOOL && entry->role != HR__ROLE__ROLE_DEVELOPER;
}

static Hr__Role plain_role(Hr__Role role)
{
    switch (role) {
    case HR__ROLE__ROLE_ASSISTANT:
        return HR__ROLE__ROLE_AGENT;
    case HR__ROLE__ROLE_TOOL:
    case HR__ROLE__ROLE_DEVELOPER:
        return HR__ROLE__ROLE_SYSTEM;
    default:
        return role;
    }
}

static Hr__Json *plain_metadata(const Hr__ConversationEntry *entry, struct arena *arena)
{
    Text original = text_prefixed(arena, "\"" ORIGINAL "\":", json_of_message(arena, &entry->base));
    struct members own = {0};
    struct members all = {0};

    // What cannot be read is in the original all the same.
    if (entry->metadata != NULL && !members_read(&own, entry->metadata->text, arena))
        own.count = 0;
    all.items = arena_calloc(arena, own.count + 1, sizeof *all.items);
    for (size_t i = 0; i < own.count; i++) {
        if (!text_is(own.items[i].key, ORIGINAL))
            all.items[all.count++] = own.items[i];
    }
    all.items[all.count++] = (struct member){text_of(ORIGINAL), original};
    return wire_json(arena, members_join(&all, arena));
}

const ProtobufCMessage *transcript_plain(const ProtobufCMessage *message, struct arena *arena)
{
    const Hr__ConversationEntry *entry = (const Hr__ConversationEntry *)message;
    Hr__ConversationEntry *plain;
    struct buf text = {0};

    if (message->descriptor != &hr__conversation_entry__descriptor || is_plain(entry))
        return message;
    plain = arena_alloc(arena, sizeof *plain);
    *plain = *entry;
    plain->role = plain_role(entry->role);
    if (entry->content_json != NULL) {
        transcript_text(&text, entry->content_json->text);
        plain->has_content = true;
        plain->content = text_copy(arena, text.data, text.len);
        plain->content_json = NULL;
        buf_fini(&text);
    }
    plain->metadata = plain_metadata(entry, arena);
    return &plain->base;
}

Text json_of_answer(struct arena *arena, const ProtobufCMessage *message, const char *transcript)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    // An ancestor's own part is measured by its hash: it comes as it is stored in any case.
    if (message->descriptor != &hr__own_part__descriptor &&
        (transcript == NULL || strcmp(transcript, TRANSCRIPT_AS_SENT) != 0))
        json_writer_view(writer, transcript_plain, arena);
    json_message(writer, message);
    return json_writer_finish(writer, arena);
}
