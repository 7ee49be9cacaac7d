// What an endpoint says of when to come back, and the setting of the schedule.
#include "workers/webhook/schedule.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t delay = schedule_retry_after((const char *)data, size, 784111777000000LL);
    struct schedule schedule;
    char *text;

    if (delay < 0 || delay > RETRY_AFTER_MAX_US)
        abort();
    text = strndup((const char *)data, size);
    if (text != NULL && schedule_parse(&schedule, text) == NULL && schedule.count > SCHEDULE_MAX)
        abort();
    free(text);
    return 0;
}
