// Figures of a load run.
#include "tests/bench/load.h"

#include "broker/base/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT_BYTES 400

void load_init(struct load *load, const char *name, long count, int in_flight)
{
    *load = (struct load){.name = name, .count = count, .in_flight = in_flight};
    load->micros = calloc((size_t)count, sizeof *load->micros);
    if (load->micros == NULL)
        abort();
    load->start_ns = clock_now_ns();
}

void load_finish(struct load *load, int64_t start_ns)
{
    if (load->finished < load->count)
        load->micros[load->finished] = (uint32_t)((clock_now_ns() - start_ns) / 1000);
    load->finished++;
    load->end_ns = clock_now_ns();
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double percentile(const struct load *load, double share)
{
    return load->finished > 0
               ? load->micros[(size_t)((double)(load->finished - 1) * share)] / 1000.0
               : 0;
}

void load_print(struct load *load, int per, FILE *out)
{
    double seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    double rate = seconds > 0 ? (double)load->finished / seconds : 0;

    qsort(load->micros, (size_t)load->finished, sizeof *load->micros, compare);
    (void)fprintf(out,
                  "{\"name\":\"%s\",\"done\":%ld,\"failed\":%ld,\"in_flight\":%d,\"seconds\":%.3f,"
                  "\"per_second\":%.0f,\"operations_per_second\":%.0f,\"p50_ms\":%.2f,"
                  "\"p99_ms\":%.2f,\"max_ms\":%.2f}\n",
                  load->name, load->finished, load->failed, load->in_flight, seconds, rate,
                  rate * per, percentile(load, .5), percentile(load, .99), percentile(load, 1));
    (void)fflush(out);
}

void load_fini(struct load *load)
{
    free(load->micros);
}

const char *load_create_body(void)
{
    static char body[2048];

    if (body[0] == '\0') {
        char content[CONTENT_BYTES + 1];

        for (size_t i = 0; i < CONTENT_BYTES; i++)
            content[i] =
                "the customer wants to upgrade to the business tier and asked for "[i % 65];
        content[CONTENT_BYTES] = '\0';
        (void)snprintf(
            body, sizeof body,
            "{\"metadata\":{\"source_agent\":{\"id\":\"sales-01\",\"name\":\"SalesBot\"},"
            "\"target_agent\":{\"id\":\"billing-01\",\"name\":\"BillingBot\"},\"priority\":"
            "\"high\","
            "\"tags\":[\"upgrade\"]},\"context\":{\"summary\":\"Customer wants to upgrade\","
            "\"conversation_state\":[{\"role\":\"user\",\"content\":\"%s\"},"
            "{\"role\":\"agent\",\"content\":\"%s\"}]},\"actions\":{\"pending\":[{\"id\":\"a1\","
            "\"description\":\"Process upgrade\",\"assignee\":\"billing-01\"}]}}",
            content, content);
    }
    return body;
}

const char *load_claim_body(void)
{
    return "{\"agent_id\":\"billing-01\",\"agent_name\":\"BillingBot\"}";
}

const char *load_status_body(int step)
{
    return step == 2 ? "{\"status\":\"in_progress\"}" : "{\"status\":\"completed\"}";
}
