// A growing byte string.
#include "broker/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
}

void *buf_reserve(struct buf *buf, size_t len)
{
    if (len > buf->cap - buf->len) {
        size_t cap = buf->cap > 0 ? buf->cap : 256;
        char *data;

        if (len > SIZE_MAX / 4 - buf->len)
            abort();
        while (cap < buf->len + len)
            cap *= 2;
        data = realloc(buf->data, cap);
        if (data == NULL)
            abort();
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(buf, len), data, len);
    buf->len += len;
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    va_start(args, format);
    (void)vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

const char *buf_text(struct buf *buf)
{
    *(char *)buf_reserve(buf, 1) = '\0';
    return buf->data;
}
