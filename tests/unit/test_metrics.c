// The registry lives as long as the process; each test runs in its own.
#include "broker/base/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *written(void)
{
    static struct buf out;

    buf_reset(&out);
    metrics_write(&out);
    return buf_text(&out);
}

Test(metrics, are_written_even_if_they_never_moved)
{
    (void)metric_create(METRIC_COUNTER, "hr_x_total", "How many x", "", NULL, 0);
    cr_assert_str_eq(written(), "# HELP hr_x_total How many x\n# TYPE hr_x_total counter\n");
}

Test(metrics, keep_the_order_they_were_created_in)
{
    struct metric *b = metric_create(METRIC_GAUGE, "b", "B", "", NULL, 0);
    struct metric *a = metric_create(METRIC_COUNTER, "a", "A", "x,y", NULL, 0);

    metric_add(a,
               "1\x1f"
               "2",
               3);
    metric_add(a,
               "1\x1f"
               "2",
               0.5);
    metric_add(a, "1", 1);
    metric_set(b, "", 7);
    metric_set(b, "", -7.25);
    cr_assert_str_eq(written(), "# HELP b B\n# TYPE b gauge\nb -7.25\n"
                                "# HELP a A\n# TYPE a counter\na{x=\"1\",y=\"2\"} 3.5\n"
                                "a{x=\"1\",y=\"\"} 1\n");
}

Test(metrics, write_whole_numbers_whole)
{
    struct metric *metric = metric_create(METRIC_COUNTER, "a", "A", "", NULL, 0);

    metric_add(metric, "", 123456789012345);
    cr_assert_not_null(strstr(written(), "\na 123456789012345\n"));
}

Test(metrics, escape_label_values)
{
    struct metric *metric = metric_create(METRIC_COUNTER, "a", "A", "x", NULL, 0);

    metric_add(metric, "q\"b\\n\nend", 1);
    cr_assert_not_null(strstr(written(), "a{x=\"q\\\"b\\\\n\\nend\"} 1\n"));
}

Test(metrics, count_a_histogram_cumulatively)
{
    static const double bounds[] = {0.005, 1, 2.5};
    struct metric *metric =
        metric_create(METRIC_HISTOGRAM, "h", "H", "verb", bounds, sizeof bounds / sizeof bounds[0]);

    metric_observe(metric, "get", 0.005);
    metric_observe(metric, "get", 1.5);
    metric_observe(metric, "get", 100);
    cr_assert_str_eq(written(), "# HELP h H\n# TYPE h histogram\n"
                                "h_bucket{verb=\"get\",le=\"0.005\"} 1\n"
                                "h_bucket{verb=\"get\",le=\"1\"} 1\n"
                                "h_bucket{verb=\"get\",le=\"2.5\"} 2\n"
                                "h_bucket{verb=\"get\",le=\"+Inf\"} 3\n"
                                "h_sum{verb=\"get\"} 101.505\n"
                                "h_count{verb=\"get\"} 3\n");
}

Test(metrics, write_a_histogram_without_labels)
{
    static const double bounds[] = {1};
    struct metric *metric = metric_create(METRIC_HISTOGRAM, "h", "H", "", bounds, 1);

    metric_observe(metric, "", 2);
    cr_assert_not_null(strstr(written(), "h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\n"
                                         "h_count 1\n"));
}

Test(metrics, count_under_other_what_would_be_too_many_series)
{
    struct metric *metric = metric_create(METRIC_COUNTER, "a", "A", "x", NULL, 0);
    size_t lines = 0;
    char value[16];

    for (int i = 0; i < 1500; i++) {
        (void)snprintf(value, sizeof value, "v%d", i);
        metric_add(metric, value, 1);
    }
    metric_add(metric, "v0", 1);
    for (const char *at = written(); (at = strstr(at, "\na{")) != NULL; at++)
        lines++;
    cr_assert_eq(lines, 1000);
    cr_assert_not_null(strstr(written(), "a{x=\"other\"} 501\n"));
    cr_assert_not_null(strstr(written(), "a{x=\"v0\"} 2\n"));
}
