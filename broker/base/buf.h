// A byte string that grows. Out of memory aborts, so appending cannot fail.
#ifndef BROKER_BASE_BUF_H
#define BROKER_BASE_BUF_H

#include <stddef.h>

struct buf {
    char *data; // owned, on the heap; NULL until something is appended
    size_t len;
    size_t cap;
};

// A zeroed struct is an empty buffer too.
void buf_fini(struct buf *buf);

// Empties it and keeps the memory.
void buf_reset(struct buf *buf);

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Makes room for len more bytes and returns where they go; the caller writes them and adds to len.
void *buf_reserve(struct buf *buf, size_t len);

// The contents as a string: a NUL stands behind the last byte and is not counted.
const char *buf_text(struct buf *buf);

#endif
