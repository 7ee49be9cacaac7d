// Requests of the last hour: what is older drops out, minute by minute.
#include "gateway/traffic.h"

#include <criterion/criterion.h>

static const int64_t minute_ns = 60 * 1000000000LL;

static struct traffic *traffic;
static struct arena *arena;

static void set_up(void)
{
    traffic = traffic_create();
    arena = arena_create(256);
}

static void tear_down(void)
{
    traffic_destroy(traffic);
    arena_destroy(arena);
}

TestSuite(traffic, .init = set_up, .fini = tear_down);

static void expect(const char *tenant, int64_t minute, const char *json)
{
    Text text = traffic_json(traffic, tenant, minute * minute_ns, arena);

    cr_assert(text_is(text, json), "%.*s, not %s", TEXT_ARGS(text), json);
}

Test(traffic, of_nobody)
{
    expect(NULL, 5, "{}");
    traffic_destroy(NULL);
}

Test(traffic, of_one_tenant_or_of_all)
{
    traffic_note(traffic, "acme", 7 * minute_ns);
    traffic_note(traffic, "acme", 8 * minute_ns);
    traffic_note(traffic, "other", 8 * minute_ns);
    expect(NULL, 8, "{\"acme\":2,\"other\":1}");
    expect("acme", 8, "{\"acme\":2}");
    expect("nobody", 8, "{}");
}

Test(traffic, drops_out_after_an_hour)
{
    traffic_note(traffic, "acme", 100 * minute_ns);
    traffic_note(traffic, "acme", 130 * minute_ns);
    expect(NULL, 159, "{\"acme\":2}");
    expect(NULL, 160, "{\"acme\":1}");
    expect(NULL, 189, "{\"acme\":1}");
    expect(NULL, 190, "{}");
}

Test(traffic, forgets_an_hour_that_was_quiet)
{
    traffic_note(traffic, "acme", 100 * minute_ns);
    traffic_note(traffic, "acme", 160 * minute_ns);
    expect(NULL, 160, "{\"acme\":1}");
    traffic_note(traffic, "acme", 1000 * minute_ns);
    expect(NULL, 1000, "{\"acme\":1}");
    for (int64_t m = 1001; m < 1100; m++)
        traffic_note(traffic, "acme", m * minute_ns);
    expect(NULL, 1099, "{\"acme\":60}");
}
