#include "broker/base/rc.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

Test(rc, has_one_lower_case_phrase_per_code)
{
    for (int a = 0; a < RC_CODES; a++) {
        const char *text = rc_text((enum rc)a);

        cr_assert(islower((unsigned char)text[0]), "%s", text);
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(text, rc_text((enum rc)b));
    }
}

Test(rc, says_what_becomes_of_a_message)
{
    cr_assert_eq(RC_OK, 0);
    cr_assert_eq(rc_settle(RC_OK), SETTLE_ACK);
    cr_assert_eq(rc_settle(RC_REFUSED), SETTLE_ACK);
    cr_assert_eq(rc_settle(RC_TIMEOUT), SETTLE_RETRY);
    cr_assert_eq(rc_settle(RC_UNAVAILABLE), SETTLE_RETRY);
    cr_assert_eq(rc_settle(RC_INVALID), SETTLE_DEAD);
    cr_assert_eq(rc_settle(RC_CORRUPT), SETTLE_DEAD);
}
