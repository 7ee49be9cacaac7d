// Counters, gauges and histograms in Prometheus' text format. One thread.
#ifndef BROKER_BASE_METRICS_H
#define BROKER_BASE_METRICS_H

#include "broker/base/buf.h"

#include <stdint.h>

struct metric;

enum metric_type {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
};

// Registers a metric for the life of the program, which name, help and labels are borrowed for.
// labels: names separated by commas, "" for none. bounds: upper bounds of a histogram's buckets,
// ascending; NULL otherwise.
struct metric *metric_create(enum metric_type type, const char *name, const char *help,
                             const char *labels, const double *bounds, size_t bound_count);

// values: label values separated by '\x1f', "" for none. The number of different ones must be
// bounded by us, never by a client; beyond 1,000 they are counted under "other".
void metric_add(struct metric *metric, const char *values, double amount);
void metric_set(struct metric *metric, const char *values, double value);
void metric_observe(struct metric *metric, const char *values, double value);

// Every metric registered, also those that never moved.
void metrics_write(struct buf *out);

#endif
