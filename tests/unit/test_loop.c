// When a chain is a loop.
#include "broker/packet/loop.h"
#include "tests/unit/messages.h"

#include <assert.h>
#include <stdlib.h>

static struct arena *memory;
static struct loop_path path;
static const struct loop_limits usual = {64, 2, 3, 8};

static void set_up(void)
{
    memory = arena_create(4096);
    path = (struct loop_path){.count = 0};
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(loop, .init = set_up, .fini = tear_down);

// agents: one letter each, as they follow one another.
static enum loop walk(const char *agents, const struct loop_limits *limits)
{
    path.count = 0;
    for (size_t i = 0; agents[i] != '\0'; i++) {
        assert(path.count < LOOP_PATH_MAX);
        path.agents[path.count++] = (Text){1, (uint8_t *)(uintptr_t)&agents[i]};
    }
    return loop_check(limits, 1, &path);
}

static const char *agents(void)
{
    char *text = arena_alloc(memory, LOOP_PATH_MAX + 1);

    for (size_t i = 0; i < path.count; i++)
        text[i] = (char)path.agents[i].data[0];
    text[path.count] = '\0';
    return text;
}

static void go(const char *source, const char *target)
{
    loop_go_on(&path, text_of(source), text_of(target), memory);
}

Test(loop, there_and_back_is_legitimate)
{
    cr_assert_eq(walk("ABA", &usual), LOOP_NONE);
    cr_assert_eq(walk("ABAB", &usual), LOOP_NONE);
    cr_assert_eq(walk("ABABA", &usual), LOOP_NONE, "two full cycles");
    cr_assert_eq(walk("ABABAB", &usual), LOOP_NONE, "and a half");
}

Test(loop, a_third_cycle_is_refused)
{
    cr_assert_eq(walk("ABABABA", &usual), LOOP_CYCLES);
    cr_assert_eq(walk("XYZABABABA", &usual), LOOP_CYCLES);
}

Test(loop, only_the_tail_counts)
{
    const struct loop_limits limits = {64, 2, 16, 16};

    cr_assert_eq(walk("ABABABAC", &limits), LOOP_NONE);
    cr_assert_eq(walk("ABACABA", &limits), LOOP_NONE);
}

Test(loop, an_agent_that_hands_to_itself_does_not_alternate)
{
    const struct loop_limits limits = {64, 1, 16, 16};

    cr_assert_eq(walk("AAAAAA", &limits), LOOP_NONE);
    cr_assert_eq(walk("AAAA", &usual), LOOP_REPEATS);
}

Test(loop, an_agent_may_come_back_three_times_within_eight)
{
    cr_assert_eq(walk("ABCADEAF", &usual), LOOP_NONE);
    cr_assert_eq(walk("ABACADEA", &usual), LOOP_REPEATS);
    cr_assert_eq(walk("ABACADEFA", &usual), LOOP_NONE, "the first has left the window");
}

// A hop counts for the agent that it leads to. So the eight last hops are the eight last agents,
// and whoever the first of these had it from was reached by the ninth last.
Test(loop, the_last_eight_hops_are_the_last_eight_agents_that_were_handed_it)
{
    cr_assert_eq(walk("XABACADEA", &usual), LOOP_REPEATS, "hops 1, 3, 5 and 8");
    cr_assert_eq(walk("XABACADEFA", &usual), LOOP_NONE,
                 "hops 1, 3, 5 and 9: the last 8 have three");
    cr_assert_eq(walk("XYABACADEFA", &usual), LOOP_NONE);
}

Test(loop, hops_are_limited)
{
    path.count = 0;
    cr_assert_eq(loop_check(&usual, 64, &path), LOOP_NONE);
    cr_assert_eq(loop_check(&usual, 65, &path), LOOP_HOPS);
}

Test(loop, a_path_names_an_agent_once_when_it_goes_on_itself)
{
    go("A", "B");
    go("B", "C");
    cr_assert_str_eq(agents(), "ABC");
    go("X", "D");
    cr_assert_str_eq(agents(), "ABCXD");
    go("D", "D");
    cr_assert_str_eq(agents(), "ABCXDD");
}

Test(loop, a_path_keeps_the_last_sixteen)
{
    const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J",
                                   "K", "L", "M", "N", "O", "P", "Q", "R", "S"};

    for (size_t i = 0; i + 1 < sizeof letters / sizeof letters[0]; i++)
        go(letters[i], letters[i + 1]);
    cr_assert_str_eq(agents(), "DEFGHIJKLMNOPQRS");
}

Test(loop, a_long_id_is_remembered_by_its_digest)
{
    char *longer = arena_alloc(memory, 1 << 20);
    char *other = arena_alloc(memory, 1 << 20);

    memset(longer, 'a', 1 << 20);
    memset(other, 'a', 1 << 20);
    other[(1 << 20) - 1] = 'b';
    loop_go_on(&path, (Text){1 << 20, (uint8_t *)longer}, (Text){1 << 20, (uint8_t *)other},
               memory);
    loop_go_on(&path, (Text){1 << 20, (uint8_t *)other}, (Text){1 << 20, (uint8_t *)longer},
               memory);
    cr_assert_eq(path.count, 3);
    cr_assert_eq(path.agents[0].len, strlen("sha256:") + 64);
    cr_assert(text_equal(path.agents[0], path.agents[2]));
    cr_assert(!text_equal(path.agents[0], path.agents[1]));
}

Test(loop, limits_can_only_be_made_stricter)
{
    struct loop_limits limits = usual;
    Hr__ChainLimits more = HR__CHAIN_LIMITS__INIT;

    loop_tighten(&limits, NULL);
    loop_tighten(&limits, &more);
    cr_assert_eq(memcmp(&limits, &usual, sizeof limits), 0);
    more.has_max_hops = more.has_max_cycles = more.has_max_repeats = more.has_window = true;
    more.max_hops = 1000;
    more.max_cycles = 1000;
    more.max_repeats = 1000;
    more.window = 2;
    loop_tighten(&limits, &more);
    cr_assert_eq(memcmp(&limits, &usual, sizeof limits), 0);
    more.max_hops = 1;
    more.max_cycles = 1;
    more.max_repeats = 1;
    more.window = 16;
    loop_tighten(&limits, &more);
    cr_assert_eq(limits.max_hops, 1);
    cr_assert_eq(limits.max_cycles, 1);
    cr_assert_eq(limits.max_repeats, 1);
    cr_assert_eq(limits.window, 16);
}

Test(loop, the_stricter_of_two_sets_what_either_sets)
{
    Hr__ChainLimits a = HR__CHAIN_LIMITS__INIT;
    Hr__ChainLimits b = HR__CHAIN_LIMITS__INIT;
    const Hr__ChainLimits *both;

    cr_assert_null(loop_stricter(NULL, NULL, memory));
    cr_assert_null(loop_stricter(&a, &b, memory));
    a.has_max_hops = b.has_max_hops = b.has_window = true;
    a.max_hops = 5;
    b.max_hops = 9;
    b.window = 4;
    both = loop_stricter(&a, &b, memory);
    cr_assert(both->has_max_hops && both->has_window && !both->has_max_cycles);
    cr_assert_eq(both->max_hops, 5);
    cr_assert_eq(both->window, 4);
}

// However the agents are chosen, the default limits end every chain of two agents, and every chain
// within a set of agents small enough to repeat.
Test(loop, chance_cannot_keep_few_agents_going)
{
    static const char *const few[] = {"A", "B"};

    srand(1);
    for (int round = 0; round < 200; round++) {
        const char *last = "A";
        int hops = 0;

        path.count = 0;
        go("A", "B");
        do {
            const char *next = few[rand() % 2];

            go(last, next);
            last = next;
        } while (loop_check(&usual, ++hops, &path) == LOOP_NONE);
        cr_assert_lt(hops, 16);
    }
}
