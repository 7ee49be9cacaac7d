// Whatever is typed, what Postgres is asked consists of letters and digits in
// quotes and our own operators.
#include "workers/query/search_text.h"

#include <assert.h>
#include <ctype.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *arena = arena_create(1024);
    Text asked = search_text(arena, (Text){len, (uint8_t *)(uintptr_t)data});
    bool quoted = false;

    for (size_t i = 0; i < asked.len; i++) {
        uint8_t c = asked.data[i];

        if (c == '\'')
            quoted = !quoted;
        else if (quoted)
            assert(c == ' ' || c >= 0x80 || isalnum(c));
        else
            assert(strchr(" &|!:*()", c) != NULL && c != '\0');
    }
    assert(!quoted);
    arena_destroy(arena);
    return 0;
}
