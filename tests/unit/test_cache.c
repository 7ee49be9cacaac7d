#include "workers/schema/cache.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct validator *get(struct cache *cache, const char *key, const char *text)
{
    const struct validator *found = NULL;
    struct validator_words why;

    return cache_get(cache, &found, &why, key, text, strlen(text)) == RC_OK ? found : NULL;
}

static enum rc check(const struct validator *validator, const char *instance)
{
    struct validator_words why;

    return validator_check(validator, &why, instance, strlen(instance));
}

Test(cache, makes_a_schema_ready_once)
{
    struct cache *cache = cache_create(2);
    const struct validator *first = get(cache, "t.a", "{\"type\":\"string\"}");

    cr_assert_not_null(first);
    cr_assert_eq(get(cache, "t.a", "not looked at"), first);
    cr_assert_eq(check(first, "\"x\""), RC_OK);
    cr_assert_eq(check(first, "1"), RC_REFUSED);
    cache_destroy(cache);
}

Test(cache, forgets_what_was_not_used_for_longest)
{
    struct cache *cache = cache_create(2);

    cr_assert_not_null(get(cache, "t.a", "true"));
    cr_assert_not_null(get(cache, "t.b", "true"));
    cr_assert_not_null(get(cache, "t.a", "x"));
    cr_assert_not_null(get(cache, "t.c", "true"));
    cr_assert_not_null(get(cache, "t.a", "x"));
    cr_assert_null(get(cache, "t.b", "x"), "t.b is not there any more");
    cache_destroy(cache);
}

Test(cache, keeps_nothing_that_is_no_schema)
{
    struct cache *cache = cache_create(2);

    cr_assert_null(get(cache, "t.a", "1"));
    cr_assert_not_null(get(cache, "t.a", "{}"));
    cache_destroy(cache);
    cache_destroy(NULL);
}
