// How texts are cut into words.
#include "broker/sql/cut.h"

#include <criterion/criterion.h>
#include <string.h>

static void stored(const char *text, const char *expected)
{
    struct buf out = {0};

    cut_stored(&out, text_of(text));
    cr_assert_str_eq(buf_text(&out), expected, "%s: \"%s\"", text, buf_text(&out));
    buf_fini(&out);
}

static void typed(const char *text, const char *expected, bool begins)
{
    struct buf out = {0};
    bool is_beginning = false;

    cut_typed(&out, text_of(text), &is_beginning);
    cr_assert_str_eq(buf_text(&out), expected, "%s: \"%s\"", text, buf_text(&out));
    cr_assert_eq(is_beginning, begins);
    buf_fini(&out);
}

Test(cut, leaves_scripts_with_blanks_as_they_are)
{
    stored("", "");
    stored("Late refund INV-2024/77", "Late refund INV 2024 77");
    stored("café crème", "café crème");
    stored("срок 5дней", "срок 5дней");
    stored("مرحبا", "مرحبا");
    stored("नमस्ते", "नमस्ते");
}

Test(cut, makes_pairs_of_what_has_no_blanks)
{
    stored("退款，订单", "退款 款  订单 单 ");
    stored("返金を", "返金 金を を ");
    stored("환불을 요청", "환불 불을 을  요청 청 ");
    stored("退", "退 ");
}

Test(cut, ends_a_word_where_the_script_changes)
{
    stored("使用GitHub账", "使用 用 GitHub 账 ");
    stored("查看INV-2024报表", "查看 看 INV 2024 报表 表 ");
    stored("GitHubом", "GitHub ом");
    stored("第2步", "第 2 步 ");
    stored("ＧｉｔＨｕｂ５", "GitHub5");
}

Test(cut, takes_each_emoji_for_a_word)
{
    stored("done✅ 🎉🎉", "done emoji2705  emoji1f389 emoji1f389 ");
    stored("👍🏽❤️x", "emoji1f44d emoji2764 x");
    stored("👩‍💻", "emoji1f469 emoji1f4bb ");
}

Test(cut, of_what_is_typed_lets_a_stretch_go_on)
{
    typed("退款", "退款 ", false);
    typed("退", "退", true);
    typed("用GitHub", "用 GitHub", false);
    typed("GitHub账", "GitHub 账", true);
    typed("", "", false);
}

Test(cut, survives_what_is_not_utf8)
{
    stored("a\xff\xe2\x82", "a \xff\xe2\x82");
    stored("\xf0\x9f\x8e", "\xf0\x9f\x8e");
}
