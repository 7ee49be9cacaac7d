// The rows of the command table.
#include "broker/message/command_table.h"

#include <assert.h>
#include <string.h>

static const struct command_row rows[CMD_COUNT] = {
#define X(id, worker, noun, verb, request, reply, role, flags)                                     \
    [CMD_##                                                                                        \
        id] = {#worker,     #noun, verb, &hr__##request##__descriptor, &hr__##reply##__descriptor, \
               ROLE_##role, flags},
    COMMAND_TABLE(X)
#undef X
};

const struct command_row *command_row(enum command_id id)
{
    assert(id > CMD_NONE && id < CMD_COUNT);
    return &rows[id];
}

size_t command_count_of(const char *worker)
{
    size_t count = 0;

    for (int id = CMD_NONE + 1; id < CMD_COUNT; id++)
        count += strcmp(rows[id].worker, worker) == 0 ? 1 : 0;
    return count;
}
