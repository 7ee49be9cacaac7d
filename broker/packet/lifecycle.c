// The packet's state machine.
#include "broker/packet/lifecycle.h"

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
    {NOTHING,     MOVE_CREATE,   CREATED    },
    {NOTHING,     MOVE_HOLD,     AWAITING   },
    {CREATED,     MOVE_CLAIM,    CLAIMED    },
    {CREATED,     MOVE_ASK,      AWAITING   },
    {CREATED,     MOVE_FAIL,     FAILED     },
    {CREATED,     MOVE_EXPIRE,   EXPIRED    },
    {CLAIMED,     MOVE_START,    IN_PROGRESS},
    {CLAIMED,     MOVE_COMPLETE, COMPLETED  },
    {CLAIMED,     MOVE_ASK,      AWAITING   },
    {CLAIMED,     MOVE_FAIL,     FAILED     },
    {CLAIMED,     MOVE_EXPIRE,   EXPIRED    },
    {IN_PROGRESS, MOVE_COMPLETE, COMPLETED  },
    {IN_PROGRESS, MOVE_ASK,      AWAITING   },
    {IN_PROGRESS, MOVE_FAIL,     FAILED     },
    {IN_PROGRESS, MOVE_EXPIRE,   EXPIRED    },
    {AWAITING,    MOVE_FAIL,     FAILED     },
    {AWAITING,    MOVE_EXPIRE,   EXPIRED    },
    {COMPLETED,   MOVE_EXPIRE,   EXPIRED    },
    {FAILED,      MOVE_EXPIRE,   EXPIRED    },
    {NOTHING,     MOVES,         NOTHING    },
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
        if (edge->from != NOTHING && edge->to == to) {
            *move = edge->move;
            return true;
        }
    }
    return false;
}

static void take(Hr__Packet *packet, int64_t now_us, struct arena *arena)
{
    Hr__Claim *claim = wire_new(arena, &hr__claim__descriptor);

    claim->holder = packet->metadata->target_agent;
    claim->claimed_at = wire_timestamp(arena, now_us);
    packet->claim = claim;
    packet->metadata->claimed_at = claim->claimed_at;
}

enum rc lifecycle_step(Hr__Packet *packet, enum move move, int64_t now_us, struct arena *arena)
{
    const struct edge *edge = find(packet->has_status ? packet->status : NOTHING, move);

    if (edge == NULL)
        return RC_REFUSED;
    packet->has_status = true;
    packet->status = edge->to;
    if (move == MOVE_CLAIM)
        take(packet, now_us, arena);
    else if (move != MOVE_START)
        packet->claim = NULL;
    if (move == MOVE_COMPLETE)
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

        if (edge->from == from && edge->from != NOTHING)
            list = arena_printf(arena, "%s%s'%s'", list, list[0] != '\0' ? ", " : "",
                                lifecycle_name(name, edge->to));
    }
    return arena_printf(arena, "[%s]", list);
}
