// Notices, which are no changes of packets: one subscription for all tenants.
#include "gateway/live/parts.h"

#include "broker/base/log.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"

#include <string.h>
#include <utlist.h>

#define NOTICE_MAX 4096 // bytes

static void tell(struct tail *tail, const char *type, Text json)
{
    struct listener *listener;

    DL_FOREACH(tail->listeners, listener)
    {
        if (listener->state == LISTENER_HEARS && channels_want_all(listener->config.channels))
            listener->config.on_notice(listener->config.ctx, type, json);
    }
}

// The last token of a notice's subject is its tenant.
static struct tail *tail_of(struct live *live, const char *subject)
{
    const char *dot = strrchr(subject, '.');
    struct tail *tail = NULL;

    if (dot != NULL)
        HASH_FIND_STR(live->tails, dot + 1, tail);
    return tail;
}

static void on_notice(void *ctx, struct msg *msg)
{
    struct live *live = ctx;
    struct tail *tail = tail_of(live, msg_subject(msg));
    struct issues issues = {.arena = live->scratch};
    struct problem problem;
    ProtobufCMessage *message;

    if (tail == NULL || msg_len(msg) > NOTICE_MAX)
        return;
    if (json_read(&message, live->scratch, &hr__live_notice__descriptor, msg_data(msg),
                  msg_len(msg), &issues, &problem) == RC_OK &&
        issues.count == 0) {
        const Hr__LiveNotice *notice = (const Hr__LiveNotice *)message;

        tell(tail, arena_copy(live->scratch, notice->type.data, notice->type.len),
             json_of_message(live->scratch, message));
    }
    arena_reset(live->scratch);
}

void notices_listen(struct live *live)
{
    char subject[SUBJECT_BYTES];

    subject_notice(subject, "*");
    if (conn_subscribe(&live->notices, run_conn(live->run), subject, NULL, on_notice, live) !=
        RC_OK)
        log_warn("live.notices", "subject=%s", subject);
}
