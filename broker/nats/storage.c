// Remembers when JetStream last had no room.
#include "broker/nats/storage.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"

#include <inttypes.h>
#include <stddef.h>

// Error codes of the server. Their texts change, the codes do not.
#define JS_MEMORY_LIMIT 10028
#define JS_SERVER_LIMIT 10023
#define JS_STORAGE_LIMIT 10047
#define JS_STORE_FAILED 10077 // a limit of the stream, or the disk is full

static struct metric *gauge;
static int64_t refused_at_ns; // 0: never, or there is room by now

bool storage_code_means_full(uint64_t err_code)
{
    return err_code == JS_SERVER_LIMIT || err_code == JS_STORAGE_LIMIT ||
           err_code == JS_MEMORY_LIMIT || err_code == JS_STORE_FAILED;
}

static void show(bool full)
{
    if (gauge == NULL)
        gauge =
            metric_create(METRIC_GAUGE, "handoffrail_storage_full",
                          "1: NATS has no room for what this program wants to store", "", NULL, 0);
    metric_set(gauge, "", full ? 1 : 0);
}

void storage_refused(uint64_t err_code)
{
    if (!storage_is_full())
        log_error("storage.full", "err_code=%" PRIu64 " reason=\"NATS has no room for it\"",
                  err_code);
    refused_at_ns = clock_now_ns();
    show(true);
}

bool storage_is_full(void)
{
    bool full = refused_at_ns != 0 && clock_now_ns() - refused_at_ns < STORAGE_FULL_MS * 1000000LL;

    if (!full)
        refused_at_ns = 0;
    show(full);
    return full;
}
