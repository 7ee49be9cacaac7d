// What becomes of a webhook's URL at its registration.
#include "workers/webhook/url.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_create(1024);
}

static void tear_down(void)
{
    arena_destroy(arena);
}

TestSuite(hook_url, .init = set_up, .fini = tear_down);

static void becomes(const char *url, const char *expected)
{
    const char *normal = NULL;
    const char *problem = url_normalize(arena, url, &normal);

    cr_assert_null(problem, "%s: %s", url, problem);
    cr_assert_str_eq(normal, expected);
}

static void is_refused(const char *url, const char *phrase)
{
    const char *normal = NULL;
    const char *problem = url_normalize(arena, url, &normal);

    cr_assert_not_null(problem, "%s", url);
    cr_assert_not_null(strstr(problem, phrase), "%s: %s", url, problem);
}

Test(hook_url, of_ascii_stays_as_it_is)
{
    becomes("https://example.com", "https://example.com");
    becomes("http://Example.com:8080/a%20b/../c?d=[1]&e#f",
            "http://Example.com:8080/a%20b/../c?d=[1]&e#f");
    becomes("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x");
}

Test(hook_url, beyond_ascii_is_percent_encoded)
{
    becomes("http://example.com/p\xc3\xa4th?name=M\xc3\xbcller",
            "http://example.com/p%C3%A4th?name=M%C3%BCller");
    becomes("http://example.com?\xe9\x80\x80", "http://example.com?%E9%80%80");
}

Test(hook_url, has_a_host_name_in_ascii)
{
    becomes("https://b\xc3\xbc"
            "cher.example/l\xc3\xa4",
            "https://xn--bcher-kva.example/l%C3%A4");
}

Test(hook_url, is_refused_with_the_true_reason)
{
    is_refused("http://example.com:99999/", "port");
    is_refused("http://example.com:0/", "port");
    is_refused("http://example.com:x/", "port");
    is_refused("http://example.com/a b", "blank");
    is_refused("http://example.com/a\nb", "control character");
    is_refused("http://me@example.com/", "credentials");
    is_refused("http://me:x@example.com/", "credentials");
    is_refused("http://[::g]/", "its host");
    is_refused("http:///path", "no host");
    is_refused("http://?x", "no host");
    is_refused("http://:80/", "no host");
    is_refused("ftp://example.com/", "http://");
    is_refused("http://\xff\xff/", "its host");
}

Test(hook_url, may_not_grow_beyond_its_limit)
{
    char url[1500];

    memset(url, 0xc3, sizeof url);
    memcpy(url, "http://example.com/", 19);
    url[sizeof url - 1] = '\0';
    is_refused(url, "too long");
}
