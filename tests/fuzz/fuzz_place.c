// What a client of server-sent events asks for: parameters, one "name=value" a line ("header" is
// Last-Event-ID's own). A place is a number that was written there, or is refused; and the channels
// that are taken can be named.
#include "gateway/live/channels.h"
#include "gateway/live/place.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define PAIRS_MAX 80

struct pairs {
    const char *names[PAIRS_MAX];
    const char *values[PAIRS_MAX];
    size_t count;
};

static const char *value_of(const void *request, const char *name)
{
    const struct pairs *pairs = request;

    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->names[i], name) == 0)
            return pairs->values[i];
    }
    return NULL;
}

static void split(struct pairs *pairs, char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL && pairs->count < PAIRS_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');

        if (equals == NULL)
            continue;
        *equals = '\0';
        pairs->names[pairs->count] = line;
        pairs->values[pairs->count++] = equals + 1;
    }
}

static void assert_is_written_there(const struct pairs *pairs, const struct place *place)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRIu64, place->since);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *value = pairs->values[i];

        while (value[0] == '0' && value[1] != '\0')
            value++;
        if (strcmp(value, text) == 0)
            return;
    }
    abort(); // nobody has written this number
}

static void subscribe(const struct pairs *pairs, struct arena *arena)
{
    struct channels *channels = channels_create(0);
    size_t taken = 0;

    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->names[i], "subscribe") == 0)
            taken += channels_add(channels, text_of(pairs->values[i]), 0, 0);
    }
    assert(channels_want_all(channels) == (taken == 0));
    assert(channels_names(channels, arena)[0] != '\0' || taken > 0);
    channels_destroy(channels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *arena = arena_create(16 * 1024);
    struct pairs pairs = {.count = 0};
    struct place place;

    split(&pairs, arena_copy(arena, data, len));
    place = place_read(value_of(&pairs, "header"), value_of, &pairs);
    assert(!place.given || place.wrong == NULL);
    if (place.given)
        assert_is_written_there(&pairs, &place);
    else
        assert(place.since == 0);
    if (place.wrong != NULL && strcmp(place.wrong, "Last-Event-ID") != 0)
        assert(value_of(&pairs, place.wrong)[0] != '\0');
    subscribe(&pairs, arena);
    arena_destroy(arena);
    return 0;
}
