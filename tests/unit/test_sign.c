#include "workers/webhook/sign.h"

#include <criterion/criterion.h>
#include <string.h>

Test(sign, a_plain_secret_signs_with_its_own_bytes)
{
    // HMAC-SHA256 of RFC 4231, test case 2.
    char hex[DIGEST_HEX_BYTES];

    sign_hex(hex, "Jefe", 4, "what do ya want for nothing?", 28);
    cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

Test(sign, a_standard_secret_signs_with_what_its_base64_stands_for)
{
    uint8_t key[64];

    cr_assert_eq(sign_key("whsec_MDEyMzQ1Njc4OWFiY2RlZg==", 30, key), 16);
    cr_assert_arr_eq(key, "0123456789abcdef", 16);
    cr_assert_eq(sign_key("whsec_!!!", 9, key), 9);
    cr_assert_arr_eq(key, "whsec_!!!", 9);
    cr_assert_eq(sign_key("whsec_", 6, key), 6);
}

Test(sign, the_standard_signature_is_that_of_the_specification)
{
    // The example of the Standard Webhooks libraries.
    static const char body[] = "{\"test\": 2432232314}";
    const struct sign_message message = {"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body,
                                         sizeof body - 1};
    static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    struct arena *arena = arena_create(1024);

    cr_assert_str_eq(sign_standard(arena, secret, sizeof secret - 1, &message),
                     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    arena_destroy(arena);
}

Test(sign, a_secret_that_no_library_can_read_is_refused)
{
    static const char *const refused[] = {
        "whsec_!!!notbase64!!!",           "whsec_",
        "whsec_a2tra2tra2tra2tra2traw",    "whsec_-_-_-_-_-_-_-_-_",
        "whsec_MDEyMzQ1 Njc4OWFiY2RlZg==", "whsec_MDEy=zQ1"};
    static const char *const taken[] = {"whsec_a2tra2tra2tra2tra2traw==", "a plain secret of some",
                                        "whsecMDEyMzQ1Njc4OW"};

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        cr_assert_not_null(sign_refuses(refused[i], strlen(refused[i])), "%s", refused[i]);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        cr_assert_null(sign_refuses(taken[i], strlen(taken[i])), "%s", taken[i]);
}

Test(sign, base64_without_its_prefix_signs_with_both_of_its_keys)
{
    static const char body[] = "{\"test\": 2432232314}";
    const struct sign_message message = {"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body,
                                         sizeof body - 1};
    static const char secret[] = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    struct arena *arena = arena_create(1024);
    const char *both = sign_standard(arena, secret, sizeof secret - 1, &message);

    cr_assert_not_null(strstr(both, " v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    cr_assert_eq(strlen(both), 2 * 47 + 1);
    arena_destroy(arena);
}
