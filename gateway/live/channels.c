// Each channel is a span of sequences. A change is told once, however many spans it is in.
#include "gateway/live/channels.h"

#include <stdlib.h>

#define ENDED_MAX 64 // ended spans that are remembered; without them a change may be told twice

enum kind {
    EVERYTHING,
    STATUS,
    PACKET,
    AGENT,
    NOTHING,
};

struct span {
    struct span *next;
    enum kind kind;
    bool ended;
    uint64_t from; // what is behind it
    uint64_t told; // and up to here has been told
    size_t name_len;
    size_t value_at; // in the name
    char name[];
};

struct channels {
    struct span *spans; // newest first
};

static const struct {
    const char *prefix;
    enum kind kind;
} kinds[] = {
    {"status:", STATUS},
    {"packet:", PACKET},
    {"agent:",  AGENT },
};

static struct span *span_add(struct channels *channels, Text name, uint64_t from)
{
    struct span *span = malloc(sizeof *span + name.len);

    if (span == NULL)
        abort();
    *span = (struct span){.next = channels->spans, .kind = NOTHING, .from = from};
    span->name_len = name.len;
    if (name.len > 0)
        memcpy(span->name, name.data, name.len);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t len = strlen(kinds[i].prefix);

        if (name.len >= len && memcmp(name.data, kinds[i].prefix, len) == 0) {
            span->kind = kinds[i].kind;
            span->value_at = len;
        }
    }
    channels->spans = span;
    return span;
}

static void add_everything(struct channels *channels, uint64_t from)
{
    span_add(channels, text_of(""), from)->kind = EVERYTHING;
}

struct channels *channels_create(uint64_t start)
{
    struct channels *channels = calloc(1, sizeof *channels);

    if (channels == NULL)
        abort();
    add_everything(channels, start);
    return channels;
}

void channels_destroy(struct channels *channels)
{
    if (channels == NULL)
        return;
    while (channels->spans != NULL) {
        struct span *span = channels->spans;

        channels->spans = span->next;
        free(span);
    }
    free(channels);
}

void channels_restart(struct channels *channels, uint64_t start)
{
    for (struct span *span = channels->spans; span != NULL; span = span->next) {
        span->from = start;
        span->told = 0;
    }
}

// An open span has been told up to there; one more time it may have been told further.
static void mark(struct span *span, uint64_t told)
{
    if (!span->ended && told > span->told)
        span->told = told;
}

static void forget_oldest(struct channels *channels)
{
    size_t ended = 0;

    for (struct span **at = &channels->spans; *at != NULL; at = &(*at)->next) {
        struct span *span = *at;

        if (!span->ended || ++ended <= ENDED_MAX)
            continue;
        *at = span->next;
        free(span);
        return;
    }
}

static void end(struct channels *channels, struct span *span, uint64_t told)
{
    mark(span, told);
    span->ended = true;
    forget_oldest(channels);
}

static struct span *find(const struct channels *channels, Text name)
{
    for (struct span *span = channels->spans; span != NULL; span = span->next) {
        if (!span->ended && span->kind != EVERYTHING &&
            text_equal((Text){span->name_len, (uint8_t *)span->name}, name))
            return span;
    }
    return NULL;
}

static size_t count_open(const struct channels *channels)
{
    size_t count = 0;

    for (const struct span *span = channels->spans; span != NULL; span = span->next)
        count += !span->ended && span->kind != EVERYTHING;
    return count;
}

bool channels_add(struct channels *channels, Text name, uint64_t from, uint64_t told)
{
    struct span *older = find(channels, name);

    if (older == NULL && count_open(channels) == CHANNELS_MAX)
        return false;
    if (older != NULL && from >= told)
        return true; // it is told already
    for (struct span *span = channels->spans; span != NULL; span = span->next)
        mark(span, told);
    for (struct span *span = channels->spans; span != NULL; span = span->next) {
        if (!span->ended && span->kind == EVERYTHING) {
            end(channels, span, told);
            break;
        }
    }
    if (older != NULL)
        end(channels, older, told);
    (void)span_add(channels, name, from);
    return true;
}

void channels_remove(struct channels *channels, Text name, uint64_t told)
{
    struct span *span = find(channels, name);

    if (span == NULL)
        return;
    end(channels, span, told);
    if (count_open(channels) == 0)
        add_everything(channels, told);
}

static bool matches(const struct span *span, const struct live_event *event)
{
    Text value = {span->name_len - span->value_at,
                  (uint8_t *)(uintptr_t)(span->name + span->value_at)};

    switch (span->kind) {
    case EVERYTHING:
        return true;
    case STATUS:
        return text_equal(event->status, value);
    case PACKET:
        return text_equal(event->packet_id, value);
    case AGENT:
        return text_equal(event->source, value) || text_equal(event->target, value);
    case NOTHING:
        break;
    }
    return false;
}

bool channels_want(const struct channels *channels, const struct live_event *event)
{
    bool wanted = false;

    for (const struct span *span = channels->spans; span != NULL; span = span->next) {
        if (event->sequence <= span->from || !matches(span, event))
            continue;
        if (event->sequence <= span->told)
            return false;
        wanted = wanted || !span->ended;
    }
    return wanted;
}

bool channels_want_all(const struct channels *channels)
{
    return count_open(channels) == 0;
}

const char *channels_names(const struct channels *channels, struct arena *arena)
{
    const char *names = NULL;

    for (const struct span *span = channels->spans; span != NULL; span = span->next) {
        if (span->ended || span->kind == EVERYTHING)
            continue;
        names = arena_printf(arena, "%.*s%s%s", (int)span->name_len, span->name,
                             names != NULL ? ", " : "", names != NULL ? names : "");
    }
    return names != NULL ? names : "all";
}
