// A tree by deadline and a hash table by packet over the same entries.
//
// An entry exists while its packet has a deadline or a step of it is under way. While a step is
// under way it is in the table alone, so that it cannot be started twice; newer records that are
// heard meanwhile only set its deadline, and the end of the step arms it.
#include "broker/rail/timers.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/rail/alarm.h"
#include "broker/rail/change.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <uthash.h>

#define FIRING_MAX 128        // steps at a time: a burst is limited by round trips, not by this
#define AGAIN_AFTER_US 500000 // after a step that could not be made, or not yet
#define ARENA_BYTES 4096
#define KEY_ID "system"

struct entry {
    RB_ENTRY(entry) node;
    UT_hash_handle hh;
    int64_t due_us;
    uint64_t sequence;
    bool armed; // in the tree
    bool firing;
    char packet_id[UUID_TEXT_BYTES];
    char tenant[];
};

struct timers {
    struct run *run;
    struct timers_config config;
    struct alarm *alarm;
    RB_HEAD(due_tree, entry) tree;
    struct entry *entries; // by the bytes from packet_id to the end of tenant
    size_t armed;
    size_t firing;
    bool draining;
    struct metric *armed_metric;
    struct metric *fired_metric;
    struct metric *late_metric;
};

// A step under way; in its arena.
struct firing {
    struct timers *timers;
    struct entry *entry;
    struct arena *arena;
    int64_t due_us;
    uint64_t sequence; // of the record that was known when it began
    struct due_spec due;
    struct change_spec spec;
};

static const double late_bounds[] = {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30};

static int compare(const struct entry *a, const struct entry *b)
{
    if (a->due_us != b->due_us)
        return a->due_us < b->due_us ? -1 : 1;
    return a < b ? -1 : a > b;
}

// clang-format off
RB_GENERATE_INTERNAL(due_tree, entry, node, compare, __attribute__((unused)) static)
// clang-format on

// --- the index -----------------------------------------------------------------------------------

// The id has one length, so no two packets have the same bytes.
static unsigned key_of(char key[UUID_TEXT_BYTES + TOKEN_MAX], const char *tenant,
                       const char *packet_id)
{
    size_t len = strlen(tenant);

    memcpy(key, packet_id, UUID_TEXT_BYTES);
    memcpy(key + UUID_TEXT_BYTES, tenant, len);
    return (unsigned)(UUID_TEXT_BYTES + len);
}

static struct entry *find(const struct timers *timers, const char *tenant, const char *packet_id)
{
    char key[UUID_TEXT_BYTES + TOKEN_MAX];
    unsigned len = key_of(key, tenant, packet_id);
    struct entry *entry = NULL;

    HASH_FIND(hh, timers->entries, key, len, entry);
    return entry;
}

static struct entry *add(struct timers *timers, const char *tenant, const char *packet_id)
{
    size_t len = strlen(tenant);
    struct entry *entry = calloc(1, sizeof *entry + len + 1);

    if (entry == NULL)
        abort();
    memcpy(entry->packet_id, packet_id, UUID_TEXT_BYTES);
    memcpy(entry->tenant, tenant, len + 1);
    HASH_ADD_KEYPTR(hh, timers->entries, entry->packet_id, (unsigned)(UUID_TEXT_BYTES + len),
                    entry);
    return entry;
}

static void count_armed(struct timers *timers, int change)
{
    timers->armed += (size_t)change;
    metric_set(timers->armed_metric, "", (double)timers->armed);
}

static void disarm(struct timers *timers, struct entry *entry)
{
    if (!entry->armed)
        return;
    RB_REMOVE(due_tree, &timers->tree, entry);
    entry->armed = false;
    count_armed(timers, -1);
}

static void forget(struct timers *timers, struct entry *entry)
{
    disarm(timers, entry);
    HASH_DELETE(hh, timers->entries, entry);
    free(entry);
}

static void set_alarm(struct timers *timers)
{
    const struct entry *first = RB_MIN(due_tree, &timers->tree);
    bool idle = first == NULL || timers->draining || timers->firing == FIRING_MAX;

    alarm_set(timers->alarm, idle ? ALARM_NEVER : first->due_us);
}

static void arm(struct timers *timers, struct entry *entry, int64_t due_us)
{
    bool sooner;

    disarm(timers, entry);
    entry->due_us = due_us;
    if (entry->firing)
        return; // the end of the step looks at it
    if (due_us == DUE_NEVER) {
        forget(timers, entry);
        return;
    }
    RB_INSERT(due_tree, &timers->tree, entry);
    entry->armed = true;
    count_armed(timers, 1);
    sooner = RB_MIN(due_tree, &timers->tree) == entry;
    if (sooner)
        set_alarm(timers);
}

static struct due_spec spec_of(const struct timers *timers, const char *tenant)
{
    struct due_spec spec = {.kinds = timers->config.kinds};

    if (timers->config.limits != NULL)
        timers->config.limits(timers->config.ctx, tenant, &spec);
    return spec;
}

void timers_note(struct timers *timers, const char *tenant, const char *packet_id,
                 const struct stored *stored)
{
    const struct due_spec spec = spec_of(timers, tenant);
    struct entry *entry = find(timers, tenant, packet_id);
    unsigned kind;
    int64_t due_us = due_next(stored->record->packet, &spec, &kind);

    if (entry == NULL && due_us == DUE_NEVER)
        return;
    if (entry == NULL)
        entry = add(timers, tenant, packet_id);
    if (stored->sequence < entry->sequence)
        return;
    entry->sequence = stored->sequence;
    arm(timers, entry, due_us);
}

// --- firing --------------------------------------------------------------------------------------

static void ring(void *ctx);

static void succeed(struct firing *firing, const struct stored *stored)
{
    struct timers *timers = firing->timers;
    struct entry *entry = firing->entry;

    metric_observe(timers->late_metric, "", (double)(timestamp_now_us() - firing->due_us) / 1e6);
    metric_add(timers->fired_metric, "done", 1);
    if (timers->config.on_fired != NULL)
        timers->config.on_fired(timers->config.ctx, entry->tenant, entry->packet_id, stored);
    if (stored->sequence >= entry->sequence)
        timers_note(timers, entry->tenant, entry->packet_id, stored);
    else
        arm(timers, entry, entry->due_us); // as a newer record says, heard before this answer
}

static void fail(struct firing *firing, const struct problem *problem)
{
    struct timers *timers = firing->timers;
    struct entry *entry = firing->entry;
    int64_t again_us = timestamp_now_us() + AGAIN_AFTER_US;
    bool is_newer = entry->sequence > firing->sequence;

    if (problem->code == PROBLEM_NOT_FOUND && !is_newer) {
        forget(timers, entry);
        return;
    }
    metric_add(timers->fired_metric, "failed", 1);
    log_warn("timers.failed", "packet_id=%s code=%s", entry->packet_id,
             problem_name(problem->code));
    arm(timers, entry, is_newer && entry->due_us > again_us ? entry->due_us : again_us);
}

static void on_fired(void *ctx, enum rc rc, const struct stored *stored,
                     const struct problem *problem)
{
    struct firing *firing = ctx;
    struct timers *timers = firing->timers;

    timers->firing--;
    firing->entry->firing = false;
    if (rc == RC_OK)
        succeed(firing, stored);
    else
        fail(firing, problem);
    arena_destroy(firing->arena);
    ring(timers);
}

static void fire(struct timers *timers, struct entry *entry)
{
    struct arena *arena = arena_create(ARENA_BYTES);
    struct firing *firing = arena_calloc(arena, 1, sizeof *firing);

    disarm(timers, entry);
    entry->firing = true;
    timers->firing++;
    firing->timers = timers;
    firing->entry = entry;
    firing->arena = arena;
    firing->due_us = entry->due_us;
    firing->sequence = entry->sequence;
    firing->due = spec_of(timers, entry->tenant);
    firing->spec = (struct change_spec){
        .tenant = entry->tenant,
        .key_id = KEY_ID,
        .verb = "timer",
        .packet_id = entry->packet_id,
        .decide = decide_due,
        .ctx = &firing->due,
        .request = wire_new(arena, &hr__empty__descriptor),
    };
    change_run(run_store(timers->run), &firing->spec, arena, on_fired, firing);
}

static bool may_fire(const struct timers *timers, const struct entry *entry)
{
    return timers->config.may_fire == NULL ||
           timers->config.may_fire(timers->config.ctx, entry->sequence);
}

static void ring(void *ctx)
{
    struct timers *timers = ctx;
    int64_t now_us = timestamp_now_us();
    struct entry *first;

    while (!timers->draining && timers->firing < FIRING_MAX &&
           (first = RB_MIN(due_tree, &timers->tree)) != NULL && first->due_us <= now_us) {
        if (may_fire(timers, first))
            fire(timers, first);
        else
            arm(timers, first, now_us + AGAIN_AFTER_US);
    }
    set_alarm(timers);
}

// --- the timers ----------------------------------------------------------------------------------

struct timers *timers_open(struct run *run, const struct timers_config *config)
{
    struct timers *timers = calloc(1, sizeof *timers);

    if (timers == NULL)
        abort();
    timers->run = run;
    timers->config = *config;
    RB_INIT(&timers->tree);
    timers->armed_metric = metric_create(METRIC_GAUGE, "handoffrail_timers_armed",
                                         "Packets with a deadline ahead", "", NULL, 0);
    timers->fired_metric = metric_create(METRIC_COUNTER, "handoffrail_timers_fired_total",
                                         "Deadlines acted on, by outcome", "outcome", NULL, 0);
    timers->late_metric = metric_create(METRIC_HISTOGRAM, "handoffrail_timer_late_seconds",
                                        "From a deadline to its step being stored", "", late_bounds,
                                        sizeof late_bounds / sizeof late_bounds[0]);
    timers->alarm = alarm_open(run_loop(run), ring, timers);
    return timers;
}

void timers_drain(struct timers *timers)
{
    timers->draining = true;
    set_alarm(timers);
}

size_t timers_in_hand(const struct timers *timers)
{
    return timers->firing;
}

void timers_close(struct timers *timers)
{
    struct entry *entry;
    struct entry *next;

    if (timers == NULL)
        return;
    entry = timers->entries;
    HASH_CLEAR(hh, timers->entries); // the table; what was in it is still linked
    for (; entry != NULL; entry = next) {
        next = entry->hh.next;
        disarm(timers, entry);
        free(entry);
    }
    alarm_close(timers->alarm);
    free(timers);
}

void timers_reset(struct timers *timers)
{
    for (struct entry *entry = timers->entries; entry != NULL; entry = entry->hh.next)
        entry->sequence = 0;
}
