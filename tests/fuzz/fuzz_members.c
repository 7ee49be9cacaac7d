// An object taken apart: what is put together again of its members is an object with the same ones.
#include "broker/message/json_read.h"
#include "broker/message/members.h"

#include "broker/base/buf.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static Text join(const struct members *members, struct arena *arena)
{
    struct buf out = {0};
    Text text;

    buf_puts(&out, "{");
    for (size_t i = 0; i < members->count; i++) {
        if (i > 0)
            buf_puts(&out, ",");
        buf_append(&out, members->items[i].raw.data, members->items[i].raw.len);
    }
    buf_puts(&out, "}");
    text = text_copy(arena, out.data, out.len);
    buf_fini(&out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *arena = arena_create(16 * 1024);
    Text text = text_copy(arena, data, len);
    struct members members;
    struct members again;

    if (members_read(&members, text, arena)) {
        Text joined = join(&members, arena);

        assert(json_is_valid(text.data, text.len));
        assert(members_read(&again, joined, arena));
        assert(again.count == members.count);
        for (size_t i = 0; i < members.count; i++) {
            assert(text_equal(members.items[i].key, again.items[i].key));
            assert(text_equal(members.items[i].raw, again.items[i].raw));
        }
        assert(text_equal(join(&again, arena), joined));
    }
    arena_destroy(arena);
    return 0;
}
