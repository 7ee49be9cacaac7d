// A ring of one counter per minute for every tenant.
#include "gateway/traffic.h"

#include "broker/base/id.h"
#include "broker/message/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#define MINUTES 60
#define MINUTE_NS (60 * 1000000000LL)

struct source {
    UT_hash_handle hh;
    int64_t minute; // the last one that was counted
    uint32_t counts[MINUTES];
    char tenant[TOKEN_MAX + 1];
};

struct traffic {
    struct source *sources;
};

struct traffic *traffic_create(void)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);

    if (traffic == NULL)
        abort();
    return traffic;
}

void traffic_destroy(struct traffic *traffic)
{
    struct source *source;
    struct source *next;

    if (traffic == NULL)
        return;
    source = traffic->sources;
    HASH_CLEAR(hh, traffic->sources); // the table; what was in it is still linked
    for (; source != NULL; source = next) {
        next = source->hh.next;
        free(source);
    }
    free(traffic);
}

static struct source *add(struct traffic *traffic, const char *tenant)
{
    struct source *source = calloc(1, sizeof *source);

    if (source == NULL)
        abort();
    (void)snprintf(source->tenant, sizeof source->tenant, "%s", tenant);
    HASH_ADD_STR(traffic->sources, tenant, source);
    return source;
}

void traffic_note(struct traffic *traffic, const char *tenant, int64_t now_ns)
{
    int64_t minute = now_ns / MINUTE_NS;
    struct source *source;

    HASH_FIND_STR(traffic->sources, tenant, source);
    if (source == NULL)
        source = add(traffic, tenant);
    if (minute - source->minute >= MINUTES)
        source->minute = minute - MINUTES;
    while (source->minute < minute)
        source->counts[++source->minute % MINUTES] = 0;
    source->counts[minute % MINUTES]++;
}

// Its counts reach an hour back from its own last minute; what is older than an hour by now is out.
static int64_t count_of(const struct source *source, int64_t minute)
{
    int64_t first = minute - MINUTES + 1;
    int64_t count = 0;

    for (int64_t m = first < 0 ? 0 : first; m <= source->minute; m++)
        count += source->counts[m % MINUTES];
    return count;
}

Text traffic_json(const struct traffic *traffic, const char *tenant, int64_t now_ns,
                  struct arena *arena)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_object_open(writer);
    for (const struct source *source = traffic->sources; source != NULL; source = source->hh.next) {
        int64_t count = count_of(source, now_ns / MINUTE_NS);

        if (count == 0 || (tenant != NULL && strcmp(source->tenant, tenant) != 0))
            continue;
        json_key(writer, source->tenant);
        json_integer(writer, count);
    }
    json_object_close(writer);
    return json_writer_finish(writer, arena);
}
