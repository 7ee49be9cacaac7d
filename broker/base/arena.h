// Memory with one lifetime: allocated piece by piece, given back all at once.
//
// Everything that belongs to one message lives in an arena, so code that handles messages frees
// nothing. Out of memory aborts. One thread at a time.
#ifndef BROKER_BASE_ARENA_H
#define BROKER_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

// first_bytes: size of the block that is kept over arena_reset.
struct arena *arena_create(size_t first_bytes);

// NULL is allowed.
void arena_destroy(struct arena *arena);

// Makes every pointer from this arena invalid.
void arena_reset(struct arena *arena);

// Aligned for any object; not zeroed. bytes may be 0. Never NULL.
void *arena_alloc(struct arena *arena, size_t bytes);

// Zeroed. Aborts when count * bytes overflows.
void *arena_calloc(struct arena *arena, size_t count, size_t bytes);

// A copy with a NUL behind it.
char *arena_copy(struct arena *arena, const void *data, size_t len);

// A formatted text with a NUL behind it, as printf and vprintf make it.
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

// Takes other: what lives in it lives as long as what lives in arena, and other is gone.
void arena_absorb(struct arena *arena, struct arena *other);

// What has been handed out since the last reset, with what was absorbed.
size_t arena_used(const struct arena *arena);

#endif
