#include "broker/base/keyring.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ONE "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
#define TWO "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"

static enum rc parse(struct keyring **ring, const char *text)
{
    return keyring_parse(ring, text, strlen(text), "test");
}

Test(keyring, the_highest_number_is_the_newest_key)
{
    struct keyring *ring;

    cr_assert_eq(parse(&ring, "# made today\n\n" TWO ONE), RC_OK);
    cr_assert_eq(keyring_newest(ring), 2);
    keyring_close(ring);
}

Test(keyring, an_hmac_is_what_openssl_makes_of_the_same_bytes)
{
    // printf %s 'Hi There' | openssl dgst -sha256 -hmac aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    const struct piece pieces[] = {
        {"Hi ",   3},
        {"",      0},
        {"There", 5},
    };
    const struct piece whole = {"Hi There", 8};
    uint8_t mac[DIGEST_BYTES];
    uint8_t again[DIGEST_BYTES];
    char hex[DIGEST_HEX_BYTES];
    struct keyring *ring;

    cr_assert_eq(parse(&ring, ONE TWO), RC_OK);
    cr_assert_eq(keyring_mac(ring, 1, pieces, 3, mac), RC_OK);
    hex_format(hex, mac, sizeof mac);
    cr_assert_str_eq(hex, "0c870d170a79b1c7b673ff49d203883b198c3b8e511b9d9f9d71e28e91a34aa7");
    cr_assert_eq(keyring_mac(ring, 2, &whole, 1, again), RC_OK);
    cr_assert(memcmp(mac, again, sizeof mac) != 0, "another key");
    cr_assert_eq(keyring_mac(ring, 1, &whole, 1, again), RC_OK);
    cr_assert(memcmp(mac, again, sizeof mac) == 0, "pieces are not framed; contexts start anew");
    cr_assert_eq(keyring_mac_for(ring, 1, "head", &whole, 1, again), RC_OK);
    cr_assert(memcmp(mac, again, sizeof mac) != 0, "another purpose is another key");
    cr_assert_eq(keyring_mac(ring, 3, &whole, 1, again), RC_NOT_FOUND);
    keyring_close(ring);
}

Test(keyring, what_is_no_key_file_is_refused)
{
    static const char *const bad[] = {
        "",
        "# nothing\n",
        "1 short\n",
        "0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "32768 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "99999999999999999999 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "x aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "1 aaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaa\n",
        "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x01\n",
        ONE ONE,
        "1",
        "1 ",
    };
    struct keyring *ring;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(parse(&ring, bad[i]), RC_CONFIG, "%s", bad[i]);
    cr_assert_eq(keyring_open(&ring, "/nonexistent/keys"), RC_CONFIG);
    cr_assert_eq(keyring_open(&ring, "/"), RC_CONFIG);
}

Test(keyring, blanks_and_line_ends_of_other_systems_are_fine)
{
    struct keyring *ring;

    cr_assert_eq(parse(&ring, "7\taaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \r\n"), RC_OK);
    cr_assert_eq(keyring_newest(ring), 7);
    keyring_close(ring);
}
