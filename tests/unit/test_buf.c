#include "broker/base/buf.h"

#include <criterion/criterion.h>
#include <string.h>

Test(buf, is_an_empty_text_when_nothing_was_appended)
{
    struct buf buf = {0};

    cr_assert_str_eq(buf_text(&buf), "");
    cr_assert_eq(buf.len, 0);
    buf_fini(&buf);
}

Test(buf, grows_and_keeps_what_it_has)
{
    struct buf buf = {0};

    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%03d,", i);
    cr_assert_eq(buf.len, 4000);
    cr_assert_eq(memcmp(buf.data, "000,001,", 8), 0);
    cr_assert_str_eq(buf_text(&buf) + 3996, "999,");
    buf_fini(&buf);
    cr_assert_null(buf.data);
}

Test(buf, takes_any_bytes)
{
    struct buf buf = {0};

    buf_append(&buf, "a\0b", 3);
    buf_append(&buf, NULL, 0);
    buf_puts(&buf, "c");
    cr_assert_eq(buf.len, 4);
    cr_assert_eq(memcmp(buf_text(&buf), "a\0bc", 5), 0);
    buf_fini(&buf);
}

Test(buf, keeps_its_memory_over_a_reset)
{
    struct buf buf = {0};
    const char *data;

    buf_puts(&buf, "something");
    data = buf.data;
    buf_reset(&buf);
    cr_assert_eq(buf.len, 0);
    buf_puts(&buf, "else");
    cr_assert_eq(buf.data, data);
    cr_assert_str_eq(buf_text(&buf), "else");
    buf_fini(&buf);
}

Test(buf, prints_text_that_fills_it_exactly)
{
    for (int len = 250; len < 260; len++) {
        struct buf buf = {0};

        buf_printf(&buf, "%0*d", len, 1);
        cr_assert_eq(buf.len, (size_t)len);
        cr_assert_eq(strlen(buf_text(&buf)), (size_t)len);
        buf_fini(&buf);
    }
}
