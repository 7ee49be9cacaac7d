// A client sends any bytes as a request, in two pieces. What comes out of the head, the target and
// the body keeps within the bounds, however the bytes are cut.
#include "broker/web/head.h"
#include "broker/web/target.h"

#include <assert.h>
#include <string.h>

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool take(void *ctx, const char *data, size_t len)
{
    size_t *total = ctx;

    (void)data;
    *total += len;
    return *total <= BODY_MAX;
}

static void check_head(const struct head *head)
{
    assert(head->field_count <= WEB_HEADERS_MAX);
    assert(head->minor <= 1);
    assert(!head->is_chunked || head->length == 0);
    for (size_t i = 0; i < head->field_count; i++) {
        assert(head->fields[i].name.len > 0);
        assert(strlen(head->fields[i].value.at) == head->fields[i].value.len);
        assert(strpbrk(head->fields[i].value.at, "\r\n") == NULL);
    }
}

static void read_all(struct arena *memory, char *text, size_t len, size_t first)
{
    struct head_scan scan = {0};
    struct head head;
    struct target target;
    struct head_refusal refusal = {0};
    struct body_reader reader;
    size_t used = 0;
    size_t more = 0;
    size_t body = 0;
    enum head_end end = head_scan(&scan, text, first, &used);

    if (end == HEAD_MORE)
        end = head_scan(&scan, text + used, len - used, &more);
    used += more;
    if (end != HEAD_ENDS)
        return;
    if (!head_read(&head, &reader, memory, text, used, &refusal) ||
        !target_read(&target, memory, head.target, &refusal)) {
        assert(refusal.status >= 400 && refusal.text != NULL);
        return;
    }
    check_head(&head);
    assert(target.parameter_count <= WEB_PARAMETERS_MAX);
    if (head.is_chunked || head.length > 0) {
        (void)body_read(&reader, take, &body, text + used, len - used, &more);
        assert(more <= len - used);
        assert(head.is_chunked || body <= head.length);
    }
}

// The first byte says where the bytes are cut.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *memory;

    if (len == 0)
        return 0;
    memory = arena_create(4096);
    read_all(memory, arena_copy(memory, data + 1, len - 1), len - 1,
             data[0] < len - 1 ? data[0] : len - 1);
    arena_destroy(memory);
    return 0;
}
