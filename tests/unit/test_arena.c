#include "broker/base/arena.h"

#include <criterion/criterion.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

Test(arena, gives_memory_that_is_aligned_and_apart)
{
    struct arena *arena = arena_create(64);
    unsigned char *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(arena, i);
        cr_assert_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i; k++)
            cr_assert_eq(pieces[i][k], i);
    }
    arena_destroy(arena);
}

Test(arena, takes_a_piece_larger_than_any_block)
{
    struct arena *arena = arena_create(16);
    char *large = arena_alloc(arena, 1 << 20);

    memset(large, 'x', 1 << 20);
    cr_assert_eq(arena_used(arena), 1 << 20);
    arena_destroy(arena);
}

Test(arena, keeps_its_first_block_over_a_reset)
{
    struct arena *arena = arena_create(1024);
    void *first = arena_alloc(arena, 8);

    (void)arena_alloc(arena, 5000);
    cr_assert_gt(arena_used(arena), 5000);
    arena_reset(arena);
    cr_assert_eq(arena_used(arena), 0);
    cr_assert_eq(arena_alloc(arena, 8), first);
    arena_destroy(arena);
}

Test(arena, zeroes_what_calloc_gives_even_when_it_was_used_before)
{
    struct arena *arena = arena_create(1024);
    unsigned char *piece = arena_alloc(arena, 512);

    memset(piece, 0xff, 512);
    arena_reset(arena);
    piece = arena_calloc(arena, 64, 8);
    for (size_t i = 0; i < 512; i++)
        cr_assert_eq(piece[i], 0);
    arena_destroy(arena);
}

Test(arena, copies_bytes_and_puts_a_nul_behind_them)
{
    struct arena *arena = arena_create(64);
    char *copy = arena_copy(arena, "a\0bc", 3);

    cr_assert_eq(memcmp(copy, "a\0b", 4), 0);
    cr_assert_str_eq(arena_copy(arena, NULL, 0), "");
    arena_destroy(arena);
}

Test(arena, prints_text_of_any_length)
{
    struct arena *arena = arena_create(64);
    char *text = arena_printf(arena, "%0500d|%s", 7, "x");

    cr_assert_eq(strlen(text), 502);
    cr_assert_str_eq(text + 499, "7|x");
    arena_destroy(arena);
}

Test(arena, may_be_null_to_destroy)
{
    arena_destroy(NULL);
}

Test(arena, what_was_absorbed_lives_until_the_reset)
{
    struct arena *arena = arena_create(64);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            struct arena *other = arena_create(32);
            char *small = arena_copy(other, "small", 5);
            char *large = arena_calloc(other, 1, 500);
            char *own = i % 2 == 0 ? arena_copy(arena, "own", 3) : NULL;
            size_t used = arena_used(arena) + arena_used(other);

            arena_absorb(arena, other);
            cr_assert_eq(arena_used(arena), used);
            (void)arena_calloc(arena, 1, i == 3 ? 1000 : 24);
            cr_assert_str_eq(small, "small");
            cr_assert_eq(large[499], 0);
            cr_assert(own == NULL || strcmp(own, "own") == 0);
        }
        arena_reset(arena);
        cr_assert_eq(arena_used(arena), 0);
    }
    arena_destroy(arena);
}
