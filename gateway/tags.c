// Reads lists of entity tags.
#include "gateway/tags.h"

#include <string.h>

// One element of a list; 0: it can be no version.
static uint64_t read_version(const char *text, size_t len)
{
    uint64_t version = 0;

    if (len >= 2 && text[0] == 'W' && text[1] == '/') {
        text += 2;
        len -= 2;
    }
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (len == 0 || len > 19)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        version = version * 10 + (uint64_t)(text[i] - '0');
    }
    return version;
}

struct tags tags_read(const char *text)
{
    struct tags tags = {.any = false};

    for (text += strspn(text, " \t,"); *text != '\0'; text += strspn(text, " \t,")) {
        size_t len = strcspn(text, " \t,");
        uint64_t version = read_version(text, len);

        if (len == 1 && *text == '*')
            tags.any = true;
        else if (version > 0 && tags.count < TAGS_MAX)
            tags.versions[tags.count++] = version;
        text += len;
    }
    return tags;
}

bool tags_have(const struct tags *tags, uint64_t version)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (tags->versions[i] == version)
            return true;
    }
    return tags->any;
}
