// One table from the type in the log to the names that listeners know.
#include "broker/packet/event_names.h"

// A heartbeat changes nothing for others, and an archived packet has not changed at all.
static const struct {
    const char *type;
    struct heard heard;
} table[] = {
    {"created",        {"packet.created", NULL}                 },
    {"chained",        {"packet.chained", NULL}                 },
    {"updated",        {"packet.updated", NULL}                 },
    {"claimed",        {"packet.claimed", NULL}                 },
    {"in_progress",    {"packet.in_progress", NULL}             },
    {"awaiting_human", {"packet.awaiting_human", NULL}          },
    {"completed",      {"packet.completed", NULL}               },
    {"failed",         {"packet.failed", NULL}                  },
    {"expired",        {"packet.expired", NULL}                 },
    {"released",       {"packet.released", NULL}                },
    {"declined",       {"packet.declined", NULL}                },
    {"reassigned",     {"packet.reassigned", NULL}              },
    {"lease_expired",  {"packet.lease_expired", NULL}           },
    {"hitl_voted",     {"hitl.responded", NULL}                 },
    {"hitl_responded", {"hitl.response_ready", "hitl.responded"}},
    {"hitl_escalated", {"hitl.escalated", NULL}                 },
    {"hitl_warning",   {"hitl.warning", NULL}                   },
    {"hitl_timed_out", {"hitl.timed_out", NULL}                 },
};

static const char requested[] = "hitl.requested"; // of a packet that stops for a human

#define NAMES (sizeof table / sizeof table[0])

// The child of a chain is told of as such: nobody hears of a creation as well. Its details say so,
// and those of any other creation say nothing; its lineage may have been left out.
static bool is_chained(const Hr__PacketRecord *record)
{
    return text_is(record->event->type, "created") && record->event->details != NULL &&
           record->event->details->text.len > strlen("{}");
}

bool heard_asks(const Hr__PacketRecord *record)
{
    return record->packet->status == HR__STATUS__STATUS_AWAITING_HUMAN &&
           (text_is(record->event->type, "created") ||
            text_is(record->event->type, "awaiting_human"));
}

bool heard_as(struct heard *heard, const Hr__PacketRecord *record)
{
    if (record->event == NULL || record->packet == NULL)
        return false;
    for (size_t i = 0; i < NAMES; i++) {
        if (!text_is(is_chained(record) ? text_of("chained") : record->event->type, table[i].type))
            continue;
        *heard = table[i].heard;
        if (heard_asks(record))
            heard->also = requested;
        return true;
    }
    return false;
}

const char *heard_name(size_t index)
{
    if (index < NAMES)
        return table[index].heard.name;
    return index == NAMES ? requested : NULL;
}
