// A bump allocator: one kept block, then blocks that double and are freed by the reset.
#include "broker/base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    size_t size;
    alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct block *first;   // kept over a reset
    struct block *current; // the newest; first, or the head of the list that ends in first
    size_t offset;         // bytes used in current
    size_t used;           // bytes handed out in all blocks
};

static struct block *block_create(size_t size, struct block *next)
{
    struct block *block;

    if (size > SIZE_MAX - sizeof *block)
        abort();
    block = malloc(sizeof *block + size);
    if (block == NULL)
        abort();
    block->next = next;
    block->size = size;
    return block;
}

struct arena *arena_create(size_t first_bytes)
{
    struct arena *arena = calloc(1, sizeof *arena);

    if (arena == NULL)
        abort();
    arena->first = block_create(first_bytes, NULL);
    arena->current = arena->first;
    return arena;
}

void arena_reset(struct arena *arena)
{
    while (arena->current != arena->first) {
        struct block *next = arena->current->next;
        free(arena->current);
        arena->current = next;
    }
    arena->offset = 0;
    arena->used = 0;
}

void arena_destroy(struct arena *arena)
{
    if (arena == NULL)
        return;
    arena_reset(arena);
    free(arena->first);
    free(arena);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    void *result;

    if (bytes > SIZE_MAX / 4)
        abort();
    bytes = (bytes + align - 1) & ~(align - 1);
    if (bytes > arena->current->size - arena->offset) {
        size_t size = arena->current->size * 2;

        while (size < bytes)
            size *= 2;
        arena->current = block_create(size, arena->current);
        arena->offset = 0;
    }
    result = arena->current->data + arena->offset;
    arena->offset += bytes;
    arena->used += bytes;
    return result;
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes)
{
    void *result;

    if (bytes != 0 && count > SIZE_MAX / bytes)
        abort();
    result = arena_alloc(arena, count * bytes);
    memset(result, 0, count * bytes);
    return result;
}

char *arena_copy(struct arena *arena, const void *data, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);

    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(len >= 0);
    text = arena_alloc(arena, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void arena_absorb(struct arena *arena, struct arena *other)
{
    struct block *oldest = other->current;

    while (oldest->next != NULL)
        oldest = oldest->next;
    arena->used += other->used;
    // Behind the block in use. The kept block must end the list, and must not be freed by a reset.
    if (arena->current == arena->first) {
        oldest->next = arena->first;
        arena->current = other->current;
        arena->offset = other->offset;
    } else {
        oldest->next = arena->current->next;
        arena->current->next = other->current;
    }
    free(other);
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
