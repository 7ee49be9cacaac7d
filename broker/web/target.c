// Takes a request target apart and decodes it.
#include "broker/web/target.h"

#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// The byte that "%XX" stands for; -1: at does not point to one.
static int escaped_byte(const char *at, size_t len)
{
    if (len < 3 || at[0] != '%' || hex_value(at[1]) < 0 || hex_value(at[2]) < 0)
        return -1;
    return hex_value(at[1]) * 16 + hex_value(at[2]);
}

// A path names something by its segments: an encoded slash is no boundary between two, and an
// encoded NUL must not end it, so both stay as they are.
static const char *decode_path(struct arena *arena, struct span raw)
{
    char *out = arena_alloc(arena, raw.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int byte = escaped_byte(raw.at + i, raw.len - i);

        if (byte > 0 && byte != '/') {
            out[len++] = (char)byte;
            i += 2;
        } else {
            out[len++] = raw.at[i];
        }
    }
    out[len] = '\0';
    return out;
}

static struct span decode_parameter(struct arena *arena, struct span raw)
{
    char *out = arena_alloc(arena, raw.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int byte = escaped_byte(raw.at + i, raw.len - i);

        out[len++] = (char)(byte >= 0 ? byte : raw.at[i] == '+' ? ' ' : raw.at[i]);
        i += byte >= 0 ? 2 : 0;
    }
    out[len] = '\0';
    return (struct span){out, len};
}

// What stands before the next mark, or all there is; moves *rest behind the mark.
static struct span cut(struct span *rest, char mark)
{
    const char *at = memchr(rest->at, mark, rest->len);
    struct span piece = {rest->at, at != NULL ? (size_t)(at - rest->at) : rest->len};
    size_t taken = at != NULL ? piece.len + 1 : piece.len;

    *rest = (struct span){rest->at + taken, rest->len - taken};
    return piece;
}

static bool read_parameters(struct target *target, struct arena *arena)
{
    struct span rest = target->raw_query;
    size_t room = 1;

    for (size_t i = 0; i < rest.len; i++)
        room += rest.at[i] == '&' ? 1 : 0;
    if (room > WEB_PARAMETERS_MAX)
        return false;
    target->parameters = arena_alloc(arena, room * sizeof *target->parameters);
    while (rest.len > 0) {
        struct span value = cut(&rest, '&');
        struct span name;

        if (value.len == 0)
            continue;
        name = decode_parameter(arena, cut(&value, '='));
        value = decode_parameter(arena, value);
        target->parameters[target->parameter_count++] =
            (struct web_parameter){name.at, name.len, value.at, value.len};
    }
    return true;
}

// What follows the scheme and the host of an absolute form. False: this is none.
static bool skip_origin(struct span *raw)
{
    size_t scheme = strncasecmp(raw->at, "http://", 7) == 0    ? 7
                    : strncasecmp(raw->at, "https://", 8) == 0 ? 8
                                                               : 0;
    size_t host;

    if (scheme == 0)
        return false;
    host = strcspn(raw->at + scheme, "/?");
    if (host == 0)
        return false;
    *raw = (struct span){raw->at + scheme + host, raw->len - scheme - host};
    return true;
}

bool target_read(struct target *target, struct arena *arena, struct span raw,
                 struct head_refusal *refusal)
{
    bool is_absolute = raw.len > 0 && raw.at[0] != '/' && skip_origin(&raw);
    struct span path;

    *target = (struct target){.path = ""};
    if (!is_absolute && (raw.len == 0 || (raw.at[0] != '/' && strcmp(raw.at, "*") != 0))) {
        *refusal = (struct head_refusal){400, "The request target cannot be understood"};
        return false;
    }
    path = cut(&raw, '?');
    if (path.len == 0)
        path = (struct span){"/", 1};
    target->raw_path = path;
    target->raw_query = raw;
    target->path = decode_path(arena, path);
    if (read_parameters(target, arena))
        return true;
    *refusal = (struct head_refusal){414, "The request has too many query parameters"};
    return false;
}
