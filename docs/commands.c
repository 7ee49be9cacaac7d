// Prints the command table as docs/nats.md has it. A test holds the page against it.
#include "broker/message/command_table.h"

#include <stdio.h>
#include <string.h>

// "POST /api/v1/packets", or nothing.
static const char *route_of(enum command_id id)
{
    static const struct {
        enum command_id id;
        const char *route;
    } routes[] = {
#define X(id, method, path, status, operation, summary) {CMD_##id, method " " path},
        COMMAND_ROUTES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (routes[i].id == id)
            return routes[i].route;
    }
    return "";
}

int main(void)
{
    printf("| Command | Request | Answer | Least role | Answered by | Over REST |\n"
           "|---|---|---|---|---|---|\n");
    for (int i = CMD_NONE + 1; i < CMD_COUNT; i++) {
        const struct command_row *row = command_row((enum command_id)i);
        const char *route = route_of((enum command_id)i);
        const char *mark = *route != '\0' ? "`" : "";

        printf("| `%s.%s` | `%s` | `%s` | %s | %s | %s%s%s |\n", row->noun, row->verb,
               row->request->short_name, row->reply->short_name, role_name(row->role), row->worker,
               mark, route, mark);
    }
    return 0;
}
