// A cursor is a text from outside: whatever it is, it is refused or comes back as it was.
#include "workers/query/cursor.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[CURSOR_TEXT_BYTES];
    struct cursor cursor;
    struct cursor_place place;

    if (cursor_parse(&cursor, data, len) == RC_OK) {
        cursor_format(text, &cursor);
        assert(strlen(text) == len && memcmp(text, data, len) == 0);
    }
    if (cursor_place_parse(&place, data, len) == RC_OK) {
        cursor_place_format(text, &place);
        assert(strlen(text) == len && memcmp(text, data, len) == 0);
    }
    return 0;
}
