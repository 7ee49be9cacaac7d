// The registry of metrics and its text form.
#include "broker/base/metrics.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 1000
#define SEPARATOR '\x1f'

struct series {
    char *values;
    double value;      // of a histogram: the sum
    uint64_t count;    // of a histogram
    uint64_t *buckets; // of a histogram, one per bound
};

struct metric {
    enum metric_type type;
    const char *name;
    const char *help;
    const char *labels;
    const double *bounds;
    size_t bound_count;
    struct series *series;
    size_t series_count;
    struct metric *next;
};

static struct metric *first;
static struct metric **last = &first;

struct metric *metric_create(enum metric_type type, const char *name, const char *help,
                             const char *labels, const double *bounds, size_t bound_count)
{
    struct metric *metric = calloc(1, sizeof *metric);

    if (metric == NULL)
        abort();
    *metric = (struct metric){.type = type,
                              .name = name,
                              .help = help,
                              .labels = labels,
                              .bounds = bounds,
                              .bound_count = bound_count};
    *last = metric;
    last = &metric->next;
    return metric;
}

static struct series *find(struct metric *metric, const char *values)
{
    struct series *series;

    for (size_t i = 0; i < metric->series_count; i++) {
        if (strcmp(metric->series[i].values, values) == 0)
            return &metric->series[i];
    }
    // The last one takes everything that would be too many.
    if (metric->series_count == SERIES_MAX)
        return &metric->series[SERIES_MAX - 1];
    if (metric->series_count == SERIES_MAX - 1)
        values = "other";
    series = realloc(metric->series, (metric->series_count + 1) * sizeof *series);
    if (series == NULL)
        abort();
    metric->series = series;
    series = &metric->series[metric->series_count++];
    *series = (struct series){.values = strdup(values)};
    if (metric->bound_count > 0)
        series->buckets = calloc(metric->bound_count, sizeof *series->buckets);
    if (series->values == NULL || (metric->bound_count > 0 && series->buckets == NULL))
        abort();
    return series;
}

void metric_add(struct metric *metric, const char *values, double amount)
{
    find(metric, values)->value += amount;
}

void metric_set(struct metric *metric, const char *values, double value)
{
    find(metric, values)->value = value;
}

void metric_observe(struct metric *metric, const char *values, double value)
{
    struct series *series = find(metric, values);

    assert(metric->type == METRIC_HISTOGRAM);
    series->value += value;
    series->count++;
    for (size_t i = 0; i < metric->bound_count; i++) {
        if (value <= metric->bounds[i])
            series->buckets[i]++;
    }
}

static void put_escaped(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buf_append(out, "\\", 1);
        if (text[i] == '\n')
            buf_puts(out, "\\n");
        else
            buf_append(out, &text[i], 1);
    }
}

// name="value" pairs, and le="..." behind them if bound is given.
static void put_labels(struct buf *out, const struct metric *metric, const char *values,
                       const char *bound)
{
    const char *label = metric->labels;
    const char *glue = "";

    if (*label == '\0' && bound == NULL)
        return;
    buf_puts(out, "{");
    while (*label != '\0') {
        size_t label_len = strcspn(label, ",");
        size_t value_len = strcspn(values, (char[]){SEPARATOR, '\0'});

        buf_puts(out, glue);
        buf_append(out, label, label_len);
        buf_puts(out, "=\"");
        put_escaped(out, values, value_len);
        buf_puts(out, "\"");
        glue = ",";
        label += label_len + (label[label_len] != '\0' ? 1 : 0);
        values += value_len + (values[value_len] != '\0' ? 1 : 0);
    }
    if (bound != NULL)
        buf_printf(out, "%sle=\"%s\"", glue, bound);
    buf_puts(out, "}");
}

static void put_histogram(struct buf *out, const struct metric *metric, const struct series *series)
{
    for (size_t i = 0; i <= metric->bound_count; i++) {
        struct buf bound = {0};
        bool is_last = i == metric->bound_count;

        if (is_last)
            buf_puts(&bound, "+Inf");
        else
            buf_printf(&bound, "%g", metric->bounds[i]);
        buf_printf(out, "%s_bucket", metric->name);
        put_labels(out, metric, series->values, buf_text(&bound));
        buf_printf(out, " %llu\n",
                   (unsigned long long)(is_last ? series->count : series->buckets[i]));
        buf_fini(&bound);
    }
    buf_printf(out, "%s_sum", metric->name);
    put_labels(out, metric, series->values, NULL);
    buf_printf(out, " %.9g\n%s_count", series->value, metric->name);
    put_labels(out, metric, series->values, NULL);
    buf_printf(out, " %llu\n", (unsigned long long)series->count);
}

void metrics_write(struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    for (const struct metric *metric = first; metric != NULL; metric = metric->next) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                   types[metric->type]);
        for (size_t i = 0; i < metric->series_count; i++) {
            const struct series *series = &metric->series[i];

            if (metric->type == METRIC_HISTOGRAM) {
                put_histogram(out, metric, series);
                continue;
            }
            buf_puts(out, metric->name);
            put_labels(out, metric, series->values, NULL);
            buf_printf(out, " %.15g\n", series->value);
        }
    }
}
