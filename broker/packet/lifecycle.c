// The packet's state machine.
#include "broker/packet/lifecycle.h"

#include "broker/packet/hitl.h"

#include <stdio.h>

#define CREATED HR__STATUS__STATUS_CREATED
#define CLAIMED HR__STATUS__STATUS_CLAIMED
#define IN_PROGRESS HR__STATUS__STATUS_IN_PROGRESS
#define AWAITING HR__STATUS__STATUS_AWAITING_HUMAN
#define COMPLETED HR__STATUS__STATUS_COMPLETED
#define FAILED HR__STATUS__STATUS_FAILED
#define EXPIRED HR__STATUS__STATUS_EXPIRED
#define NOTHING HR__STATUS__STATUS_UNSPECIFIED

// The order within one `from` is the order in which a refusal lists the choices.
const struct edge lifecycle_edges[] = {
    {NOTHING,     MOVE_CREATE,   CREATED,     false},
    {NOTHING,     MOVE_HOLD,     AWAITING,    false},
    {CREATED,     MOVE_CLAIM,    CLAIMED,     true },
    {CREATED,     MOVE_ASK,      AWAITING,    true },
    {CREATED,     MOVE_FAIL,     FAILED,      true },
    {CREATED,     MOVE_EXPIRE,   EXPIRED,     true },
    {CLAIMED,     MOVE_START,    IN_PROGRESS, true },
    {CLAIMED,     MOVE_COMPLETE, COMPLETED,   true },
    {CLAIMED,     MOVE_ASK,      AWAITING,    true },
    {CLAIMED,     MOVE_FAIL,     FAILED,      true },
    {CLAIMED,     MOVE_EXPIRE,   EXPIRED,     true },
    {CLAIMED,     MOVE_RETURN,   CREATED,     false},
    {IN_PROGRESS, MOVE_COMPLETE, COMPLETED,   true },
    {IN_PROGRESS, MOVE_ASK,      AWAITING,    true },
    {IN_PROGRESS, MOVE_FAIL,     FAILED,      true },
    {IN_PROGRESS, MOVE_EXPIRE,   EXPIRED,     true },
    {IN_PROGRESS, MOVE_RETURN,   CREATED,     false},
    {AWAITING,    MOVE_ANSWER,   CLAIMED,     false},
    {AWAITING,    MOVE_REOPEN,   CREATED,     false},
    {AWAITING,    MOVE_FAIL,     FAILED,      true },
    {AWAITING,    MOVE_EXPIRE,   EXPIRED,     true },
    {COMPLETED,   MOVE_EXPIRE,   EXPIRED,     true },
    {FAILED,      MOVE_EXPIRE,   EXPIRED,     true },
    {NOTHING,     MOVES,         NOTHING,     false},
};

static const struct edge *find(Hr__Status from, enum move move)
{
    for (const struct edge *edge = lifecycle_edges; edge->move != MOVES; edge++) {
        if (edge->from == from && edge->move == move)
            return edge;
    }
    return NULL;
}

bool lifecycle_allows(Hr__Status from, enum move move)
{
    return find(from, move) != NULL;
}

bool lifecycle_move_to(Hr__Status to, enum move *move)
{
    for (const struct edge *edge = lifecycle_edges; edge->move != MOVES; edge++) {
        if (edge->by_patch && edge->to == to) {
            *move = edge->move;
            return true;
        }
    }
    return false;
}

static void take(Hr__Packet *packet, bool reserved, int64_t now_us, struct arena *arena)
{
    Hr__Claim *claim = wire_new(arena, &hr__claim__descriptor);

    claim->holder = packet->metadata->target_agent;
    claim->claimed_at = wire_timestamp(arena, now_us);
    claim->has_reserved = reserved;
    claim->reserved = reserved;
    packet->claim = claim;
    packet->metadata->claimed_at = claim->claimed_at;
}

// Open to the one it is addressed to, as if nobody had ever had it.
static void offer(Hr__Metadata *metadata, int64_t now_us, struct arena *arena)
{
    if (metadata->addressed_to != NULL)
        metadata->target_agent = metadata->addressed_to;
    metadata->claimed_at = NULL;
    if (metadata->has_claim_by_seconds)
        metadata->claim_by =
            wire_timestamp(arena, now_us + metadata->claim_by_seconds * US_PER_SECOND);
}

enum rc lifecycle_step(Hr__Packet *packet, enum move move, int64_t now_us, struct arena *arena)
{
    const struct edge *edge = find(packet->has_status ? packet->status : NOTHING, move);

    if (edge == NULL)
        return RC_REFUSED;
    packet->has_status = true;
    packet->status = edge->to;
    if (move != MOVE_START)
        packet->claim = NULL;
    packet->metadata->claim_by = NULL;
    if (edge->to == CREATED)
        offer(packet->metadata, now_us, arena);
    else if (edge->to == CLAIMED)
        take(packet, move == MOVE_ANSWER, now_us, arena);
    else if (edge->to == AWAITING && packet->hitl != NULL)
        hitl_open(packet->hitl, now_us, arena);
    else if (edge->to == COMPLETED)
        packet->metadata->completed_at = wire_timestamp(arena, now_us);
    return RC_OK;
}

const char *lifecycle_name(char buffer[ENUM_TEXT_BYTES], Hr__Status status)
{
    if (wire_enum_text(buffer, &hr__status__descriptor, (int)status) == NULL)
        (void)snprintf(buffer, ENUM_TEXT_BYTES, "unknown");
    return buffer;
}

const char *lifecycle_choices(Hr__Status from, struct arena *arena)
{
    const char *list = "";

    for (const struct edge *edge = lifecycle_edges; edge->move != MOVES; edge++) {
        char name[ENUM_TEXT_BYTES];

        if (edge->from == from && edge->by_patch)
            list = arena_printf(arena, "%s%s'%s'", list, list[0] != '\0' ? ", " : "",
                                lifecycle_name(name, edge->to));
    }
    return arena_printf(arena, "[%s]", list);
}
