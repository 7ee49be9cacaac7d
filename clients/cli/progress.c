// Drawn ten times a second at most.
#include "clients/cli/progress.h"

#include "broker/base/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS 100000000
#define ROWS_PER_LOOK 256 // rows between two looks at the clock
#define BAR_WIDTH 30

void progress_begin(struct progress *progress)
{
    progress->start_ns = clock_now_ns();
    progress->next_ns = progress->start_ns + INTERVAL_NS;
    progress->shown = isatty(STDERR_FILENO) == 1;
}

static void draw(const struct progress *progress)
{
    char bar[BAR_WIDTH + 1];
    double rate = (double)progress->rows / progress_seconds(progress);

    if (progress->total > 0) {
        uint64_t done = progress->done < progress->total ? progress->done : progress->total;
        double share = (double)done / (double)progress->total;
        size_t filled = (size_t)(share * BAR_WIDTH);

        memset(bar, '.', BAR_WIDTH);
        memset(bar, '#', filled);
        bar[BAR_WIDTH] = '\0';
        (void)fprintf(stderr, "\r[%s] %3.0f %%  %" PRIu64 " rows, %.0f/s\033[K", bar, share * 100,
                      progress->rows, rate);
    } else {
        (void)fprintf(stderr, "\r%" PRIu64 " rows, %.0f/s\033[K", progress->rows, rate);
    }
    (void)fflush(stderr);
}

void progress_row(struct progress *progress)
{
    int64_t now;

    if (++progress->rows % ROWS_PER_LOOK != 0 || !progress->shown)
        return;
    now = clock_now_ns();
    if (now < progress->next_ns)
        return;
    progress->next_ns = now + INTERVAL_NS;
    draw(progress);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        (void)fputs("\r\033[K", stderr);
    progress->shown = false;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_now_ns() - progress->start_ns) / 1e9;
}
