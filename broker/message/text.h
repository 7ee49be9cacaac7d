// Text as the generated messages hold it: length and bytes, UTF-8, no NUL behind it, perhaps NULs
// in it.
#ifndef BROKER_MESSAGE_TEXT_H
#define BROKER_MESSAGE_TEXT_H

#include "broker/base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <string.h>

// The one typedef of ours: the generated structs spell it as a typedef already, only longer.
typedef ProtobufCBinaryData Text;

// For printf's "%.*s". Text with a NUL in it is cut there: for logs and messages only.
#define TEXT_ARGS(text) (int)(text).len, (const char *)(text).data

// Borrows chars for as long as the text is used; never written through.
static inline Text text_of(const char *chars)
{
    return (Text){strlen(chars), (uint8_t *)(uintptr_t)chars};
}

static inline Text text_copy(struct arena *arena, const void *data, size_t len)
{
    return (Text){len, (uint8_t *)arena_copy(arena, data, len)};
}

// prefix and then text, all of it.
static inline Text text_prefixed(struct arena *arena, const char *prefix, Text text)
{
    size_t len = strlen(prefix);
    uint8_t *data = (uint8_t *)arena_alloc(arena, len + text.len + 1);

    memcpy(data, prefix, len);
    if (text.len > 0)
        memcpy(data + len, text.data, text.len);
    return (Text){len + text.len, data};
}

static inline bool text_equal(Text a, Text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool text_is(Text a, const char *chars)
{
    return text_equal(a, text_of(chars));
}

#endif
