// Entity tags.
#include "gateway/tags.h"

#include <criterion/criterion.h>
#include <string.h>

Test(tags, a_version_is_read_however_it_is_written)
{
    static const char *const forms[] = {"7",    "\"7\"",   "W/\"7\"", " \"6\" ,\tW/\"7\"",
                                        ",,7,", "\"x\", 7"};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tags tags = tags_read(forms[i]);

        cr_assert(tags_have(&tags, 7), "%s", forms[i]);
        cr_assert_not(tags_have(&tags, 8), "%s", forms[i]);
    }
}

Test(tags, what_can_be_no_version_matches_nothing)
{
    static const char *const forms[] = {
        "", "\"\"", "x", "-7", "\"7", "0", "7.0", "w/\"7\"", "99999999999999999999", "\"7 8\""};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tags tags = tags_read(forms[i]);

        cr_assert_eq(tags.count, 0, "%s", forms[i]);
        cr_assert_not(tags.any);
    }
}

Test(tags, an_asterisk_matches_everything)
{
    struct tags tags = tags_read(" * ");

    cr_assert(tags_have(&tags, 1));
}

Test(tags, a_long_list_is_cut)
{
    char text[3 * TAGS_MAX + 4] = "";

    for (int i = 0; i <= TAGS_MAX; i++)
        strcat(text, "9, ");
    cr_assert_eq(tags_read(text).count, TAGS_MAX);
}
