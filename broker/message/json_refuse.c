// What is wrong with a text that is no JSON.
#include "broker/message/json_refuse.h"

#include "broker/message/issues.h"

#include <string.h>

enum rc json_refuse(struct problem *problem, struct arena *arena, size_t offset, const char *reason)
{
    struct issues issues = {.arena = arena};
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_index(&path, offset);
    issue = issues_add(&issues, &path, "json_invalid", "JSON decode error");
    issue->input = text_of("{}");
    issue->ctx = text_of(arena_printf(arena, "{\"error\":\"%s\"}", reason));
    return issues_to_problem(&issues, problem);
}

const char *json_reason(yajl_handle yajl, struct arena *arena)
{
    unsigned char *text = yajl_get_error(yajl, 0, NULL, 0);
    char *reason = arena_copy(arena, text, text != NULL ? strcspn((char *)text, "\n") : 0);

    yajl_free_error(yajl, text);
    for (char *at = reason; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            *at = ' ';
    }
    return reason;
}
