#include "workers/webhook/secret.h"

#include <criterion/criterion.h>
#include <string.h>

#define ONE "1 0123456789abcdef0123456789abcdef\n"
#define TWO "2 fedcba9876543210fedcba9876543210\n"

static struct keyring *ring;
static struct arena *arena;
static uint8_t out[SECRET_BYTES_MAX];
static size_t len;

static void set_up(void)
{
    cr_assert_eq(keyring_parse(&ring, ONE, sizeof ONE - 1, "test"), RC_OK);
    arena = arena_create(1024);
}

static void tear_down(void)
{
    keyring_close(ring);
    arena_destroy(arena);
}

TestSuite(secret, .init = set_up, .fini = tear_down);

Test(secret, opens_as_it_was_sealed)
{
    Hr__SealedSecret *sealed = secret_seal(ring, arena, "acme", "hook", text_of("the secret"));

    cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_OK);
    cr_assert_eq(len, 10);
    cr_assert_arr_eq(out, "the secret", 10);
    for (size_t i = 0; i + 6 <= sealed->sealed.len; i++)
        cr_assert_neq(memcmp(sealed->sealed.data + i, "secret", 6), 0);
}

Test(secret, opens_for_no_other_hook_or_tenant)
{
    Hr__SealedSecret *sealed = secret_seal(ring, arena, "acme", "hook", text_of("the secret"));

    cr_assert_eq(secret_open(ring, sealed, "acme", "koob", out, &len), RC_CORRUPT);
    cr_assert_eq(secret_open(ring, sealed, "evil", "hook", out, &len), RC_CORRUPT);
    cr_assert_eq(secret_open(ring, sealed, "acmeh", "ook", out, &len), RC_CORRUPT);
}

Test(secret, no_byte_of_it_can_be_changed)
{
    Hr__SealedSecret *sealed = secret_seal(ring, arena, "acme", "hook", text_of("the secret"));

    for (size_t i = 0; i < sealed->sealed.len; i++) {
        sealed->sealed.data[i] ^= 1;
        cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_CORRUPT);
        sealed->sealed.data[i] ^= 1;
    }
    sealed->sealed.len--;
    cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_CORRUPT);
    sealed->sealed.len = 3;
    cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_CORRUPT);
    cr_assert_eq(secret_open(ring, NULL, "acme", "hook", out, &len), RC_CORRUPT);
}

Test(secret, opens_with_an_older_key_while_the_ring_has_it)
{
    Hr__SealedSecret *sealed = secret_seal(ring, arena, "acme", "hook", text_of("the secret"));

    keyring_close(ring);
    cr_assert_eq(keyring_parse(&ring, ONE TWO, sizeof ONE TWO - 1, "test"), RC_OK);
    cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_OK);
    keyring_close(ring);
    cr_assert_eq(keyring_parse(&ring, TWO, sizeof TWO - 1, "test"), RC_OK);
    cr_assert_eq(secret_open(ring, sealed, "acme", "hook", out, &len), RC_NOT_FOUND);
}
