// A claim whose answer nobody takes would keep its packet from everybody, without a lease for good.
// NATS says when nobody subscribes to the subject of a message that has a reply subject, so answers
// to those who have waited are sent with one.
#include "workers/claim/give_back.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/rail/change.h"

#include <stdlib.h>

#define WATCH_MS 1000 // the server says it at once
#define ARENA_BYTES 1024

struct give_back {
    struct requests *requests;
    struct store *store;
    size_t in_hand;
    struct metric *metric;
};

struct watched {
    struct give_back *give_back;
    struct arena *arena; // everything here and of the release
    struct change_spec spec;
};

struct give_back *give_back_create(struct requests *requests, struct store *store)
{
    struct give_back *give_back = calloc(1, sizeof *give_back);

    if (give_back == NULL)
        abort();
    give_back->requests = requests;
    give_back->store = store;
    give_back->metric =
        metric_create(METRIC_COUNTER, "handoffrail_claim_next_undelivered_total",
                      "Packets given back because nobody took the answer", "", NULL, 0);
    return give_back;
}

void give_back_destroy(struct give_back *give_back)
{
    free(give_back);
}

size_t give_back_in_hand(const struct give_back *give_back)
{
    return give_back->in_hand;
}

static void end(struct watched *watched)
{
    watched->give_back->in_hand--;
    arena_destroy(watched->arena);
}

static void on_released(void *ctx, enum rc rc, const struct stored *stored,
                        const struct problem *problem)
{
    struct watched *watched = ctx;

    (void)stored;
    if (rc == RC_OK)
        metric_add(watched->give_back->metric, "", 1);
    else // it is claimed by somebody else, or finished, meanwhile
        log_info("claim.give_back", "packet=%s reason=\"%s\"", watched->spec.packet_id,
                 problem_name(problem->code));
    end(watched);
}

static void on_watched(void *ctx, enum rc rc, struct msg *reply)
{
    struct watched *watched = ctx;

    (void)reply;
    if (rc == RC_UNAVAILABLE)
        change_run(watched->give_back->store, &watched->spec, watched->arena, on_released, watched);
    else
        end(watched);
}

static const ProtobufCMessage *release_of(struct arena *arena, const char *packet_id, Text agent_id)
{
    Hr__ReleaseClaim *release = wire_new(arena, &hr__release_claim__descriptor);

    release->has_packet_id = true;
    release->packet_id = text_of(packet_id);
    release->has_agent_id = true;
    release->agent_id = text_copy(arena, agent_id.data, agent_id.len);
    release->has_reason = true;
    release->reason = text_of("claim-next was answered and nobody took the answer");
    return &release->base;
}

void give_back_watch(struct give_back *give_back, struct command *command, Text agent_id,
                     const struct stored *claimed)
{
    struct arena *arena = arena_create(ARENA_BYTES);
    struct watched *watched = arena_calloc(arena, 1, sizeof *watched);
    Text id = claimed->record->packet->id;
    const char *packet_id = arena_copy(arena, id.data, id.len);
    char *receipt = arena_alloc(command->arena, REPLY_BYTES);

    *watched = (struct watched){
        .give_back = give_back,
        .arena = arena,
        .spec = {.tenant = arena_copy(arena, command->tenant, strlen(command->tenant)),
                 .key_id = arena_copy(arena, command->key_id, strlen(command->key_id)),
                 .verb = "packet.release",
                 .packet_id = packet_id,
                 .claim = claimed->sequence,
                 .decide = decide_release,
                 .request = release_of(arena, packet_id, agent_id)},
    };
    if (request_expect(give_back->requests, WATCH_MS, on_watched, watched, receipt) != RC_OK) {
        arena_destroy(arena);
        return;
    }
    give_back->in_hand++;
    command->receipt = receipt;
}
