// A line on standard error that says how far long work has come; only on a terminal.
#ifndef CLIENTS_CLI_AUDIT_PROGRESS_H
#define CLIENTS_CLI_AUDIT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shown;
    uint64_t rows;
    uint64_t done;  // of total, in the unit of the source
    uint64_t total; // 0: unknown
    int64_t start_ns;
    int64_t next_ns; // not before this is it drawn again
};

void progress_begin(struct progress *progress);

// After each row; cheap.
void progress_row(struct progress *progress);

// Takes the line away.
void progress_end(struct progress *progress);

double progress_seconds(const struct progress *progress);

#endif
