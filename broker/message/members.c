// yajl calls back for every token; those at depth 1 are keys and values of the object itself.
// Where a token starts is known from where the previous one ended; yajl reports the latter.
#include "broker/message/members.h"

#include "broker/message/json_text.h"

#include <stdlib.h>
#include <yajl/yajl_parse.h>

struct reader {
    struct arena *arena;
    struct members *members;
    size_t room;
    Text text;
    yajl_handle yajl;
    size_t depth;
    size_t key_start;
    size_t last_end; // offset behind the previous token of depth 1
};

static size_t position(const struct reader *r)
{
    return yajl_get_bytes_consumed(r->yajl);
}

static struct member *add(struct reader *r)
{
    struct members *members = r->members;

    if (members->count == r->room) {
        struct member *items;

        r->room = r->room > 0 ? r->room * 2 : 8;
        items = arena_calloc(r->arena, r->room, sizeof *items);
        if (members->count > 0)
            memcpy(items, members->items, members->count * sizeof *items);
        members->items = items;
    }
    return &members->items[members->count++];
}

// A value, or the end of one.
static int end_value(struct reader *r)
{
    if (r->depth == 1) {
        struct member *member = &r->members->items[r->members->count - 1];

        r->last_end = position(r);
        member->raw = (Text){r->last_end - r->key_start, r->text.data + r->key_start};
    }
    return r->depth > 0; // the outermost value has to be an object
}

static int on_null(void *r)
{
    return end_value(r);
}

static int on_boolean(void *r, int value)
{
    (void)value;
    return end_value(r);
}

static int on_number(void *r, const char *text, size_t len)
{
    (void)text;
    (void)len;
    return end_value(r);
}

static int on_string(void *r, const unsigned char *text, size_t len)
{
    (void)text;
    (void)len;
    return end_value(r);
}

static int on_map_start(void *ctx)
{
    struct reader *r = ctx;

    if (r->depth++ == 0)
        r->last_end = position(r);
    return 1;
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    struct reader *r = ctx;

    if (r->depth == 1) {
        // Between the previous token and this one there are only blanks and a comma.
        r->key_start = r->last_end;
        while (r->text.data[r->key_start] != '"')
            r->key_start++;
        add(r)->key = text_copy(r->arena, text, len);
    }
    return 1;
}

static int on_array_start(void *ctx)
{
    struct reader *r = ctx;

    return r->depth++ > 0;
}

static int on_end(void *ctx)
{
    struct reader *r = ctx;

    return --r->depth == 0 || end_value(r);
}

bool members_read(struct members *members, Text object, struct arena *arena)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_map_start,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end,
        .yajl_start_array = on_array_start,
        .yajl_end_array = on_end,
    };
    struct reader reader = {.arena = arena, .members = members, .text = object};
    bool ok;

    *members = (struct members){0};
    // What json_read refuses beyond yajl does not get as far as yajl here.
    if (!json_is_valid(object.data, object.len))
        return false;
    reader.yajl = yajl_alloc(&callbacks, NULL, &reader);
    if (reader.yajl == NULL)
        abort();
    ok = yajl_parse(reader.yajl, object.data, object.len) == yajl_status_ok &&
         yajl_complete_parse(reader.yajl) == yajl_status_ok;
    yajl_free(reader.yajl);
    return ok;
}

Text members_join(const struct members *members, struct arena *arena)
{
    size_t len = 2;
    Text text;

    for (size_t i = 0; i < members->count; i++)
        len += members->items[i].raw.len + 1;
    text = (Text){0, arena_alloc(arena, len)};
    text.data[text.len++] = '{';
    for (size_t i = 0; i < members->count; i++) {
        Text raw = members->items[i].raw;

        if (i > 0)
            text.data[text.len++] = ',';
        memcpy(text.data + text.len, raw.data, raw.len);
        text.len += raw.len;
    }
    text.data[text.len++] = '}';
    return text;
}
