// JSON from a client: it is refused in words that are JSON, or understood; what is understood is
// written as JSON that is understood the same.
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "broker/message/transcript.h"
#include "tests/fuzz/requests.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static ProtobufCMessage *read_request(struct arena *arena,
                                      const ProtobufCMessageDescriptor *descriptor,
                                      const void *text, size_t len)
{
    struct issues issues = {.arena = arena};
    ProtobufCMessage *message;
    struct problem problem;

    if (json_read(&message, arena, descriptor, text, len, &issues, &problem) == RC_OK) {
        message_check(message, "body", true, &issues);
        if (issues.count == 0)
            return message;
        (void)issues_to_problem(&issues, &problem);
    }
    Text body = problem_body(&problem, arena, NULL);
    assert(json_is_valid(body.data, body.len));
    return NULL;
}

// As a client gets it that does not know transcripts, and sends it again. A long one may be nested
// a little deeper than we take.
static void assert_plain_answer(struct arena *arena, const ProtobufCMessage *message)
{
    Text plain = json_of_answer(arena, message, NULL);
    const ProtobufCMessage *back;

    if (plain.len >= JSON_DEPTH_MAX)
        return;
    assert(json_is_valid(plain.data, plain.len));
    back = read_request(arena, message->descriptor, plain.data, plain.len);
    assert(back != NULL && text_equal(json_of_answer(arena, back, NULL), plain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const ProtobufCMessageDescriptor *descriptor;
    const ProtobufCMessage *message;
    struct arena *arena;
    Text first;
    Text second;

    if (len == 0)
        return 0;
    arena = arena_create(16 * 1024);
    descriptor = request_chosen_by(data[0]);
    message = read_request(arena, descriptor, data + 1, len - 1);
    if (message != NULL) {
        first = json_of_message(arena, message);
        assert(json_is_valid(first.data, first.len));
        message = read_request(arena, descriptor, first.data, first.len);
        assert(message != NULL);
        second = json_of_message(arena, message);
        assert(text_equal(first, second));
        assert_plain_answer(arena, message);
    }
    arena_destroy(arena);
    return 0;
}
