// Query parameters, one "name=value" a line behind the byte that chooses the request: they are
// refused in words that are JSON, or within the bounds of the contract.
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/message/query_read.h"

#include <assert.h>

#define PAIRS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct pairs {
    struct {
        const char *name;
        const char *value;
    } items[PAIRS_MAX];
    size_t count;
};

static bool value_of(const void *source, const char *name, Text *value)
{
    const struct pairs *pairs = source;

    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->items[i].name, name) == 0) {
            *value = text_of(pairs->items[i].value);
            return true;
        }
    }
    return false;
}

static void split(struct pairs *pairs, char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL && pairs->count < PAIRS_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');

        if (equals == NULL)
            continue;
        *equals = '\0';
        pairs->items[pairs->count].name = line;
        pairs->items[pairs->count].value = equals + 1;
        pairs->count++;
    }
}

static void assert_bounds(const ProtobufCMessage *message)
{
    if (message->descriptor == &hr__list_packets__descriptor) {
        const Hr__ListPackets *list = (const Hr__ListPackets *)message;

        assert(!list->has_limit || (list->limit >= 1 && list->limit <= 200));
        assert(!list->has_offset || list->offset >= 0);
    } else if (message->descriptor == &hr__list_audit__descriptor) {
        const Hr__ListAudit *list = (const Hr__ListAudit *)message;

        assert(!list->has_limit || (list->limit >= 1 && list->limit <= 200));
        assert(!list->has_offset || list->offset >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const ProtobufCMessageDescriptor *const requests[] = {
        &hr__list_packets__descriptor, &hr__list_audit__descriptor, &hr__get_history__descriptor};
    struct issues issues = {0};
    struct pairs pairs = {.count = 0};
    ProtobufCMessage *message;
    struct problem problem;
    Text json;

    if (len == 0)
        return 0;
    issues.arena = arena_create(16 * 1024);
    split(&pairs, arena_copy(issues.arena, data + 1, len - 1));
    message = query_read(issues.arena, requests[data[0] % 3], value_of, &pairs, &issues);
    message_check(message, "query", true, &issues);
    if (issues.count == 0) {
        assert_bounds(message);
        json = json_of_message(issues.arena, message);
    } else {
        (void)issues_to_problem(&issues, &problem);
        json = problem.detail;
    }
    assert(json_is_valid(json.data, json.len));
    arena_destroy(issues.arena);
    return 0;
}
