// One question at a time, for the highest sequence that anybody wants to know of.
#include "workers/expiry/projected.h"

#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 5000
#define TENANT "system" // the answer is the same for every tenant

struct projected {
    struct run *run;
    uint64_t known;
    uint64_t asked;  // of the question under way; 0: none
    uint64_t wanted; // the highest
    bool closed;
};

static void ask(struct projected *projected);

static void on_answer(void *ctx, enum rc rc, struct msg *reply)
{
    struct projected *projected = ctx;

    if (projected->closed) {
        free(projected);
        return;
    }
    if (rc == RC_OK && msg_header(reply, HEADER_ERROR_CODE) == NULL)
        projected->known = projected->asked;
    projected->asked = 0;
    if (rc == RC_OK && projected->wanted > projected->known)
        ask(projected);
}

static void ask(struct projected *projected)
{
    const char *name = run_name(projected->run);
    char subject[SUBJECT_BYTES];
    char number[24];
    const struct header header = {HEADER_MIN_SEQ, number};
    const struct request request = {.subject = subject,
                                    .inbox = name,
                                    .headers = &header,
                                    .header_count = 1,
                                    .data = "",
                                    .timeout_ms = TIMEOUT_MS,
                                    .done = on_answer,
                                    .ctx = projected};

    projected->asked = projected->wanted;
    (void)snprintf(number, sizeof number, "%" PRIu64, projected->asked);
    subject_command(subject, TENANT, name, "audit", "wait");
    request_send(run_requests(projected->run), &request);
}

bool projected_has(struct projected *projected, uint64_t sequence)
{
    if (sequence <= projected->known)
        return true;
    if (sequence > projected->wanted)
        projected->wanted = sequence;
    if (projected->asked == 0)
        ask(projected);
    return false;
}

struct projected *projected_open(struct run *run)
{
    struct projected *projected = calloc(1, sizeof *projected);

    if (projected == NULL)
        abort();
    projected->run = run;
    return projected;
}

void projected_close(struct projected *projected)
{
    if (projected == NULL)
        return;
    projected->closed = true;
    if (projected->asked == 0)
        free(projected); // otherwise with the answer, which comes at the latest when NATS is closed
}
