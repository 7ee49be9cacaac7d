// Whatever is typed, what Postgres is asked consists of quoted words and our own operators.
#include "workers/query/search_text.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *arena = arena_create(1024);
    Text asked = search_text(arena, (Text){len, (uint8_t *)(uintptr_t)data});
    bool quoted = false;

    for (size_t i = 0; i < asked.len; i++) {
        uint8_t c = asked.data[i];
        bool doubled =
            quoted && i + 1 < asked.len && (c == '\'' || c == '\\') && asked.data[i + 1] == c;

        assert(c != '\0');
        if (doubled)
            i++;
        else if (c == '\'')
            quoted = !quoted;
        else
            assert(quoted ? c != '\\' : strchr(" &|!:*", c) != NULL);
    }
    assert(!quoted);
    arena_destroy(arena);
    return 0;
}
