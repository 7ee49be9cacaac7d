// Protobuf from a client: it is refused in words that are JSON, or it can be written as JSON, which
// any reader of ours takes back, and as protobuf again.
#include "broker/message/check.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"
#include "tests/fuzz/requests.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void assert_json_is_taken_back(struct arena *arena, const ProtobufCMessage *message)
{
    struct issues issues = {.arena = arena};
    Text json = json_of_message(arena, message);
    ProtobufCMessage *back;
    struct problem problem;
    enum rc rc;

    assert(json_is_valid(json.data, json.len));
    rc = json_read(&back, arena, message->descriptor, json.data, json.len, &issues, &problem);
    assert(rc == RC_OK);
    message_check(back, "body", true, &issues);
    assert(issues.count == 0);
}

static void assert_bytes_are_taken_back(struct arena *arena, const ProtobufCMessage *message)
{
    Text json = json_of_message(arena, message);
    Text bytes = wire_pack(arena, message);
    ProtobufCMessage *back;
    enum rc rc = wire_unpack(&back, arena, message->descriptor, bytes.data, bytes.len);

    assert(rc == RC_OK);
    assert(text_equal(json_of_message(arena, back), json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct issues issues = {0};
    ProtobufCMessage *message;
    struct problem problem;

    if (len == 0)
        return 0;
    issues.arena = arena_create(16 * 1024);
    if (wire_unpack_request(&message, issues.arena, request_chosen_by(data[0]), data + 1,
                            len - 1) == RC_OK) {
        message_check(message, "body", false, &issues);
        if (issues.count == 0) {
            assert_json_is_taken_back(issues.arena, message);
            assert_bytes_are_taken_back(issues.arena, message);
        } else {
            (void)issues_to_problem(&issues, &problem);
            assert(json_is_valid(problem.detail.data, problem.detail.len));
        }
    }
    arena_destroy(issues.arena);
    return 0;
}
