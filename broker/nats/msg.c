// Messages as libnats has them.
#include "broker/nats/msg.h"
#include "broker/nats/arrival.h"

#include "broker/nats/nats_msg.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

const char *msg_subject(const struct msg *msg)
{
    return natsMsg_GetSubject(msg->nats);
}

const char *msg_reply(const struct msg *msg)
{
    return arrival_reply(msg->nats);
}

bool msg_is_no_responders(const struct msg *msg)
{
    return arrival_of(msg->nats) == ARRIVAL_NO_RESPONDERS;
}

bool msg_headers_are_cut(const struct msg *msg)
{
    return arrival_of(msg->nats) == ARRIVAL_HEADERS_CUT;
}

const void *msg_data(const struct msg *msg)
{
    return natsMsg_GetData(msg->nats);
}

size_t msg_len(const struct msg *msg)
{
    return (size_t)natsMsg_GetDataLength(msg->nats);
}

const char *msg_header(const struct msg *msg, const char *name)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg->nats, name, &value) == NATS_OK ? value : NULL;
}

bool msg_headers_are_sound(const struct msg *msg)
{
    const char *value;
    natsStatus s = natsMsgHeader_Get(msg->nats, "any", &value);

    return s == NATS_OK || s == NATS_NOT_FOUND;
}

uint64_t msg_header_u64(const struct msg *msg, const char *name, uint64_t fallback)
{
    const char *text = msg_header(msg, name);
    unsigned long long value;
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return fallback;
    errno = 0;
    value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : fallback;
}

int msg_status(const struct msg *msg)
{
    const char *text = msg_len(msg) == 0 ? msg_header(msg, "Status") : NULL;

    return text != NULL ? (int)strtol(text, NULL, 10) : 0;
}

void msg_free(struct msg *msg)
{
    natsMsg_Destroy(msg->nats);
    free(msg);
}

struct msg *msg_with_data(const struct msg *like, const void *data, size_t len)
{
    struct msg *msg = calloc(1, sizeof *msg);
    const char **names = NULL;
    int count = 0;

    if (msg == NULL || len > INT_MAX ||
        natsMsg_Create(&msg->nats, msg_subject(like), msg_reply(like), data, (int)len) != NATS_OK)
        abort();
    if (natsMsgHeader_Keys(like->nats, &names, &count) != NATS_OK)
        count = 0;
    for (int i = 0; i < count; i++) {
        if (natsMsgHeader_Set(msg->nats, names[i], msg_header(like, names[i])) != NATS_OK)
            abort();
    }
    free(names);
    return msg;
}
