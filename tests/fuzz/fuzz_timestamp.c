// Any text is refused with a reason, or is a moment in range that comes back from its own text.
#include "broker/base/timestamp.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TIMESTAMP_TEXT_BYTES];
    int64_t us = 0;
    int64_t back = 0;

    if (timestamp_parse((const char *)data, len, &us) != NULL) {
        assert(us == 0);
        return 0;
    }
    assert(us >= TIMESTAMP_MIN_US && us <= TIMESTAMP_MAX_US);
    timestamp_format(text, us);
    assert(timestamp_parse(text, strlen(text), &back) == NULL);
    assert(back == us);
    return 0;
}
