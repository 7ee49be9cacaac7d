// Looks at messages before libnats does.
//
// natsConn_setFilterWithClosure is exported by libnats but not in its public header; its own tests
// use it. If a version lacks it, the programs do not link, so the check cannot be lost silently.
// The length of the headers is read from the layout of a message, which is one block: subject, NUL,
// reply, NUL, headers, NUL, data. What does not begin as headers do is left alone.
//
// A message that was looked at is marked in its reply subject, by a first byte that no client can
// put there to any advantage: a client that sends one only has its own message refused.
#include "broker/nats/arrival.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MARK_BYTE '\x01'
#define MARK_BYTES 2 // the mark and the kind
#define KIND_HEADERS 'h'
#define KIND_NO_RESPONDERS 'n'
#define VERSION_LINE "NATS/1.0"
#define NO_RESPONDERS_LINE "NATS/1.0 503"

// NOLINTNEXTLINE(readability-identifier-naming): the name is libnats'
void natsConn_setFilterWithClosure(natsConnection *nats,
                                   void (*filter)(natsConnection *, natsMsg **, void *),
                                   void *closure);

struct header_block {
    const char *data;
    size_t len; // 0: there are no headers
};

static struct header_block headers_of(natsMsg *msg)
{
    const char *before = natsMsg_GetReply(msg);
    const char *data = natsMsg_GetData(msg);
    struct header_block block = {NULL, 0};

    if (before == NULL)
        before = natsMsg_GetSubject(msg);
    if (before == NULL || data == NULL)
        return block;
    before += strlen(before) + 1;
    if (data <= before + sizeof VERSION_LINE ||
        memcmp(before, VERSION_LINE, sizeof VERSION_LINE - 1) != 0)
        return block;
    block.data = before;
    block.len = (size_t)(data - before) - 1;
    return block;
}

static bool says_no_responders(natsMsg *msg, const struct header_block *block)
{
    return natsMsg_GetDataLength(msg) == 0 && block->len >= sizeof NO_RESPONDERS_LINE - 1 &&
           memcmp(block->data, NO_RESPONDERS_LINE, sizeof NO_RESPONDERS_LINE - 1) == 0;
}

// The same message without headers, and marked. msg is freed.
static natsMsg *marked(natsMsg *msg, char kind)
{
    const char *reply = natsMsg_GetReply(msg);
    size_t len = reply != NULL ? strlen(reply) : 0;
    char *mark = malloc(MARK_BYTES + len + 1);
    natsMsg *bare = NULL;

    if (mark == NULL)
        abort();
    mark[0] = MARK_BYTE;
    mark[1] = kind;
    memcpy(mark + MARK_BYTES, reply != NULL ? reply : "", len + 1);
    if (natsMsg_Create(&bare, natsMsg_GetSubject(msg), mark, natsMsg_GetData(msg),
                       natsMsg_GetDataLength(msg)) != NATS_OK)
        abort();
    free(mark);
    natsMsg_Destroy(msg);
    return bare;
}

// On the thread that reads the socket, without libnats' locks.
static void on_arrival(natsConnection *nats, natsMsg **msg, void *closure)
{
    struct header_block block = headers_of(*msg);

    (void)nats;
    (void)closure;
    if (block.len == 0)
        return;
    if (block.len > HEADER_BYTES_MAX)
        *msg = marked(*msg, KIND_HEADERS);
    else if (says_no_responders(*msg, &block))
        *msg = marked(*msg, KIND_NO_RESPONDERS);
}

void arrival_watch(natsConnection *nats)
{
    natsConn_setFilterWithClosure(nats, on_arrival, NULL);
}

static bool is_marked(const char *reply)
{
    return reply != NULL && reply[0] == MARK_BYTE && reply[1] != '\0';
}

enum arrival arrival_of(natsMsg *msg)
{
    const char *reply = natsMsg_GetReply(msg);

    if (!is_marked(reply))
        return ARRIVAL_PLAIN;
    return reply[1] == KIND_NO_RESPONDERS ? ARRIVAL_NO_RESPONDERS : ARRIVAL_HEADERS_CUT;
}

const char *arrival_reply(natsMsg *msg)
{
    const char *reply = natsMsg_GetReply(msg);

    if (!is_marked(reply))
        return reply;
    return reply[MARK_BYTES] != '\0' ? reply + MARK_BYTES : NULL;
}
