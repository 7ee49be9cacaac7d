// JSON as text: what yajl lets pass and JSON does not, and whether a text is one value.
#include "broker/packet/json_text.h"

#include "broker/base/utf8.h"
#include "broker/packet/issues.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// The value of the \uXXXX at text[at], or -1.
static long escape_at(const char *text, size_t len, size_t at)
{
    char digits[5];

    if (len - at < 6 || text[at] != '\\' || text[at + 1] != 'u')
        return -1;
    for (size_t i = 0; i < 4; i++) {
        if (!is_hex(text[at + 2 + i]))
            return -1;
        digits[i] = text[at + 2 + i];
    }
    digits[4] = '\0';
    return strtol(digits, NULL, 16);
}

size_t json_find_half_pair(const char *text, size_t len)
{
    const char *next = text;

    while ((next = memchr(next, '\\', len - (size_t)(next - text))) != NULL) {
        size_t at = (size_t)(next - text);
        long code = escape_at(text, len, at);

        if (code >= 0xd800 && code <= 0xdbff) {
            long low = at + 6 <= len ? escape_at(text, len, at + 6) : -1;
            if (low < 0xdc00 || low > 0xdfff)
                return at;
            next += 12;
        } else if (code >= 0xdc00 && code <= 0xdfff) {
            return at;
        } else {
            next += 2;
        }
        if ((size_t)(next - text) >= len)
            break;
    }
    return len;
}

size_t json_find_false_blank(const char *text, size_t len)
{
    const char *tab = memchr(text, '\v', len);
    const char *feed = memchr(text, '\f', tab != NULL ? (size_t)(tab - text) : len);

    return feed != NULL ? (size_t)(feed - text) : tab != NULL ? (size_t)(tab - text) : len;
}

bool json_is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
            return false;
    }
    return true;
}

// --- validity alone ------------------------------------------------------------------------------

struct validity {
    yajl_handle yajl;
    size_t levels; // around the text
    size_t depth;
    size_t end; // offset behind the value; the length of the text until it has ended
};

static int value_ends(struct validity *v)
{
    if (v->depth == v->levels)
        v->end = yajl_get_bytes_consumed(v->yajl);
    return 1;
}

static int depth_down(void *ctx)
{
    struct validity *v = ctx;

    return ++v->depth <= JSON_DEPTH_MAX;
}

static int depth_up(void *ctx)
{
    struct validity *v = ctx;

    v->depth--;
    return value_ends(v);
}

static int null_ends(void *ctx)
{
    return value_ends(ctx);
}

static int boolean_ends(void *ctx, int value)
{
    (void)value;
    return value_ends(ctx);
}

static int number_ends(void *ctx, const char *text, size_t len)
{
    (void)text;
    (void)len;
    return value_ends(ctx);
}

static int string_ends(void *ctx, const unsigned char *text, size_t len)
{
    (void)text;
    (void)len;
    return value_ends(ctx);
}

bool json_is_valid(const void *text, size_t len)
{
    return json_is_valid_within(text, len, 0);
}

bool json_is_valid_within(const void *text, size_t len, size_t levels)
{
    static const yajl_callbacks depth_only = {.yajl_null = null_ends,
                                              .yajl_boolean = boolean_ends,
                                              .yajl_number = number_ends,
                                              .yajl_string = string_ends,
                                              .yajl_start_map = depth_down,
                                              .yajl_end_map = depth_up,
                                              .yajl_start_array = depth_down,
                                              .yajl_end_array = depth_up};
    struct validity v = {.levels = levels, .depth = levels, .end = len};
    bool valid;

    if (len == 0) // text may be NULL then
        return false;
    if (!utf8_is_valid(text, len) || json_find_half_pair(text, len) < len ||
        json_find_false_blank(text, len) < len)
        return false;
    v.yajl = yajl_alloc(&depth_only, NULL, &v);
    if (v.yajl == NULL)
        abort();
    yajl_config(v.yajl, yajl_dont_validate_strings, 1); // done above, faster
    valid = yajl_parse(v.yajl, text, len) == yajl_status_ok &&
            json_is_blank((const char *)text + v.end, len - v.end) &&
            yajl_complete_parse(v.yajl) == yajl_status_ok;
    yajl_free(v.yajl);
    return valid;
}

// --- what is wrong with it
// --------------------------------------------------------------------------

enum rc json_refuse(struct problem *problem, struct arena *arena, size_t offset, const char *reason)
{
    struct issues issues = {.arena = arena};
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_index(&path, offset);
    issue = issues_add(&issues, &path, "json_invalid", "JSON decode error");
    issue->input = text_of("{}");
    issue->ctx = text_of(arena_printf(arena, "{\"error\":\"%s\"}", reason));
    return issues_to_problem(&issues, problem);
}

const char *json_reason(yajl_handle yajl, struct arena *arena)
{
    unsigned char *text = yajl_get_error(yajl, 0, NULL, 0);
    char *reason = arena_copy(arena, text, text != NULL ? strcspn((char *)text, "\n") : 0);

    yajl_free_error(yajl, text);
    for (char *at = reason; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            *at = ' ';
    }
    return reason;
}
