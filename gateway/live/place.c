// Only digits are a place.
#include "gateway/live/place.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

// strtoull would take blanks and a sign, too.
static bool read_number(uint64_t *value, const char *text)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *text >= '0' && *text <= '9';
}

struct place place_read(const char *header,
                        const char *(*query_value)(const void *request, const char *name),
                        const void *request)
{
    static const char *const names[] = {"since", "Last-Event-ID", "last_event_id", "lastEventId"};
    const char *text = header;
    const char *name = "Last-Event-ID";
    struct place place = {.given = false};

    for (size_t i = 0; text == NULL && i < sizeof names / sizeof names[0]; i++) {
        name = names[i];
        text = query_value(request, name);
    }
    if (text == NULL || *text == '\0')
        return place;
    place.given = read_number(&place.since, text);
    if (!place.given)
        place = (struct place){.wrong = name};
    return place;
}
