"""What is wrong with a request is said, all of it at once, and changes nothing."""

import json
import re
import socket
import uuid

import pytest
from agent import command_pb2
from packets import PACKETS, body, claim

NOWHERE = "11111111-1111-4111-8111-111111111111"
BODY_MAX = 1048576  # HR_MAX_BODY_BYTES
FULL = body(
    parent_packet_id=NOWHERE,
    decisions=[{"id": "d", "decision": "x", "rationale": "y", "alternatives": ["z"]}],
    actions={
        "pending": [{"id": "p", "description": "x", "assignee": "y", "depends_on": ["z"]}],
        "completed": [{"id": "c", "description": "x", "result": "y"}],
        "failed": [{"id": "f", "description": "x", "error": "y", "retries_remaining": 1}],
    },
    dependencies=[{"id": "e", "type": "data", "description": "x", "status": "unknown"}],
    hitl={"required": False, "reason": "r", "options": ["a"], "timeout_seconds": 1},
)
FULL["metadata"].update(tags=["t"], priority="high", created_at="2026-01-01T00:00:00Z")
FULL["context"].update(
    conversation_state=[{"role": "user", "content": "c", "metadata": {}}],
    artifacts=[{"key": "k", "value": "v"}],
    custom={"a": 1},
)


def text(value):
    return json.dumps(value).encode()


def having(path, value):
    """FULL, as bytes, with another value at a path; KeyError when the path is wrong."""
    made = json.loads(text(FULL))
    at = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return text(made)


def lacking(path):
    made = json.loads(text(FULL))
    at = made
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return text(made)


def raw_custom(inside):
    """A packet with these bytes as its custom value."""
    return text(body()).replace(b'"summary"', b'"custom":' + inside + b',"summary"')


def raw_summary(inside):
    return text(body("MARK")).replace(b'"MARK"', inside)


@pytest.fixture(autouse=True)
def nothing_changes(request, loop, admin):
    before = loop.run(admin.last_seq())
    yield
    if request.node.get_closest_marker("changes") is None:
        assert loop.run(admin.last_seq()) == before


def check_refusal(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    refusal = answer.json()
    assert refusal["code"] == code
    assert refusal["detail"]
    assert refusal["request_id"] == answer.headers["x-request-id"]
    return refusal["detail"]


def check_items(detail):
    for item in detail:
        assert set(item) <= {"type", "loc", "msg", "input", "ctx"}
        assert item["type"] and item["msg"] and item["loc"][0] in ("body", "query", "path")
    return [(item["type"], item["loc"]) for item in detail]


@pytest.fixture
def post(loop, web):
    def send(data, target=PACKETS, headers=None):
        return loop.run(web.post(target, data, headers))

    return send


# --- not JSON ------------------------------------------------------------------------------------

WHOLE = text(body())
NOT_JSON = {
    "truncated in an object": WHOLE[:-1],
    "truncated in a string": WHOLE[:20],
    "truncated in a number": raw_custom(b"1.")[: raw_custom(b"1.").index(b"1.") + 2],
    "truncated in an escape": raw_summary(b'"\\u00"'),
    "an open brace": b"{",
    "plain text": b"hello",
    "something behind it": WHOLE + b"x",
    "two values": WHOLE + WHOLE,
    "a comma too many": b'{"context":{},}',
    "no comma": b'{"a":1 "b":2}',
    "single quotes": b"{'a':1}",
    "a comment": b'{/* hi */"a":1}',
    "NaN": raw_custom(b'{"n":NaN}'),
    "Infinity": raw_custom(b'{"n":-Infinity}'),
    "a leading zero": raw_custom(b'{"n":01}'),
    "a hexadecimal number": raw_custom(b'{"n":0x10}'),
    "a leading plus": raw_custom(b'{"n":+1}'),
    "a number without digits behind its point": raw_custom(b'{"n":1.}'),
    "a half word": raw_custom(b'{"n":tru}'),
    "an unknown escape": raw_summary(b'"\\x41"'),
    "a NUL in a string": raw_summary(b'"a\x00b"'),
    "a NUL in a free-form string": raw_custom(b'{"a":"\x00"}'),
    "a NUL between tokens": WHOLE.replace(b":", b":\x00", 1),
    "a NUL at the end": WHOLE + b"\x00",
    "a line break in a string": raw_summary(b'"a\nb"'),
    "a control character in a free-form key": raw_custom(b'{"\x1f":1}'),
    "a bomb of lists": raw_custom(b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}"),
    "a bomb of objects": raw_custom(b'{"a":' * 10000 + b"1" + b"}" * 10000),
    "a bomb for an unknown member": b'{"x":' + b"[" * 10000 + b"]" * 10000 + b"}",
    "a bomb for a list": b"[" * 10000 + b"]" * 10000,
    "a bomb that never ends": b"[" * 1000000,
    "a bomb where a text belongs": raw_summary(b"[" * 300 + b"]" * 300),
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + WHOLE,
    "a byte order mark inside": b"{\xef\xbb\xbf" + WHOLE[1:],
}


@pytest.mark.parametrize("what", NOT_JSON)
def test_what_is_not_json_is_refused(post, what):
    detail = check_refusal(post(NOT_JSON[what]), 422, "validation_error")
    ((kind, loc),) = check_items(detail)
    assert kind == "json_invalid" and loc[0] == "body" and isinstance(loc[1], int)


HALF_PAIRS = {
    "half a surrogate pair": (raw_summary(b'"\\ud83d"'), ["context", "summary"]),
    "the other half": (raw_summary(b'"\\ude00"'), ["context", "summary"]),
    "the halves reversed": (raw_summary(b'"\\ude00\\ud83d"'), ["context", "summary"]),
    "in a free-form value": (raw_custom(b'{"a":["\\uD83D x"]}'), ["context", "custom"]),
    "in a free-form key": (raw_custom(b'{"\\udc00":1}'), ["context", "custom"]),
    "in a key": (WHOLE.replace(b'"context"', b'"\\ud800":1,"context"'), []),
}


@pytest.mark.parametrize("what", HALF_PAIRS)
def test_half_a_surrogate_pair_is_refused_where_it_is(post, what):
    data, loc = HALF_PAIRS[what]
    detail = check_refusal(post(data), 422, "validation_error")
    assert check_items(detail) == [("string_unicode", ["body", *loc])]


NOT_UTF8 = {
    "a stray byte": raw_summary(b'"\xff"'),
    "an overlong slash": raw_summary(b'"\xc0\xaf"'),
    "an encoded surrogate": raw_summary(b'"\xed\xa0\x80"'),
    "beyond the last character": raw_summary(b'"\xf4\x90\x80\x80"'),
    "cut in a character": raw_summary(b'"\xf0\x9f\x98"'),
    "in a free-form value": raw_custom(b'{"a":"\xe2\x82"}'),
    "in a key": raw_custom(b'{"\xfe":1}'),
    "UTF-16": "\ufeff{}".encode("utf-16-le"),
}


@pytest.mark.parametrize("what", NOT_UTF8)
def test_what_is_not_utf8_is_refused(post, what):
    detail = check_refusal(post(NOT_UTF8[what]), 400, "unparsable_body")
    assert detail == "There was an error parsing the body"


# --- not a packet --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"null", b" \n", b" null "])
def test_nothing_is_a_missing_body(post, data):
    detail = check_refusal(post(data), 422, "validation_error")
    assert check_items(detail) == [("missing", ["body"])]
    assert detail[0]["input"] is None


@pytest.mark.parametrize("data", [b"[]", b'["a"]', b'"a"', b"1 ", b"true", b"-0.5 "])
def test_what_is_no_object_is_no_packet(post, data):
    detail = check_refusal(post(data), 422, "validation_error")
    assert check_items(detail) == [("model_attributes_type", ["body"])]


REQUIRED = [
    ["metadata"],
    ["metadata", "source_agent"],
    ["metadata", "source_agent", "id"],
    ["metadata", "target_agent", "name"],
    ["context"],
    ["context", "summary"],
    ["context", "conversation_state", 0, "role"],
    ["context", "conversation_state", 0, "content"],
    ["context", "artifacts", 0, "key"],
    ["context", "artifacts", 0, "value"],
    ["decisions", 0, "id"],
    ["decisions", 0, "rationale"],
    ["actions", "pending", 0, "assignee"],
    ["actions", "completed", 0, "result"],
    ["actions", "failed", 0, "error"],
    ["dependencies", 0, "type"],
    ["hitl", "reason"],
]


@pytest.mark.parametrize("path", REQUIRED, ids=lambda path: ".".join(map(str, path)))
def test_a_missing_member_is_named(post, path):
    detail = check_refusal(post(lacking(path)), 422, "validation_error")
    assert check_items(detail) == [("missing", ["body", *path])]


WRONG = [
    (["metadata"], 1, "model_attributes_type"),
    (["metadata"], [], "model_attributes_type"),
    (["metadata", "source_agent"], "planner", "model_attributes_type"),
    (["metadata", "source_agent", "id"], 1, "string_type"),
    (["metadata", "source_agent", "id"], None, "string_type"),
    (["metadata", "target_agent", "name"], {"a": [1]}, "string_type"),
    (["metadata", "target_agent", "framework"], True, "string_type"),
    (["metadata", "tags"], "t", "list_type"),
    (["metadata", "tags"], None, "list_type"),
    (["metadata", "tags", 0], 1, "string_type"),
    (["metadata", "tags", 0], None, "string_type"),
    (["metadata", "priority"], "urgent", "enum"),
    (["metadata", "priority"], "HIGH", "enum"),
    (["metadata", "priority"], "unspecified", "enum"),
    (["metadata", "priority"], 3, "enum"),
    (["metadata", "claim_policy"], "mine", "enum"),
    (["metadata", "created_at"], True, "datetime_type"),
    (["metadata", "created_at"], {}, "datetime_type"),
    (["metadata", "created_at"], "yesterday", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "2026-02-30T00:00:00Z", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "2026-01-01T24:00:00Z", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "2026-01-01T00:00:60Z", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "2026-13-01", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "2026-01-01T00:00:00+5", "datetime_from_date_parsing"),
    (["metadata", "created_at"], "", "datetime_from_date_parsing"),
    (["context"], "text", "model_attributes_type"),
    (["context", "summary"], 1.5, "string_type"),
    (["context", "summary"], [], "string_type"),
    (["context", "conversation_state"], {}, "list_type"),
    (["context", "conversation_state", 0], "hi", "model_attributes_type"),
    (["context", "conversation_state", 0, "role"], "robot", "enum"),
    (["context", "conversation_state", 0, "metadata"], [], "dict_type"),
    (["context", "artifacts", 0, "value"], 1, "compound_type"),
    (["context", "artifacts", 0, "value"], True, "compound_type"),
    (["context", "custom"], [], "dict_type"),
    (["context", "custom"], "{}", "dict_type"),
    (["context", "custom"], None, "dict_type"),
    (["decisions"], None, "list_type"),
    (["decisions"], {}, "list_type"),
    (["decisions", 0], None, "model_attributes_type"),
    (["decisions", 0, "alternatives", 0], {}, "string_type"),
    (["actions"], None, None),
    (["actions"], [], "model_attributes_type"),
    (["actions", "pending"], {}, "list_type"),
    (["actions", "failed", 0, "retries_remaining"], 1.5, "int_from_float"),
    (["actions", "failed", 0, "retries_remaining"], "many", "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], [], "int_type"),
    (["actions", "failed", 0, "retries_remaining"], 2**63, "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], -(2**63) - 1, "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], 10**40, "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], 1e300, "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], "nan", "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], "0x10", "int_parsing"),
    (["actions", "failed", 0, "retries_remaining"], "1\x00", "int_parsing"),
    (["dependencies", 0, "type"], "magic", "enum"),
    (["dependencies", 0, "status"], "gone", "enum"),
    (["dependencies", 0, "status"], None, "enum"),
    (["hitl"], [], "model_attributes_type"),
    (["hitl", "required"], 2, "bool_parsing"),
    (["hitl", "required"], "perhaps", "bool_parsing"),
    (["hitl", "required"], None, "bool_type"),
    (["hitl", "required"], [], "bool_type"),
    (["hitl", "options"], "a", "list_type"),
    (["hitl", "options", 0], 1, "string_type"),
    (["hitl", "timeout_seconds"], {}, "int_type"),
    (["parent_packet_id"], "abc", "uuid_parsing"),
    (["parent_packet_id"], "", "uuid_parsing"),
    (["parent_packet_id"], NOWHERE + "0", "uuid_parsing"),
    (["parent_packet_id"], 1, None),
]


@pytest.mark.parametrize(("path", "value", "kind"), WRONG, ids=lambda v: json.dumps(v)[:60])
def test_a_wrong_value_is_named(post, path, value, kind):
    detail = check_refusal(post(having(path, value)), 422, "validation_error")
    ((found, loc),) = check_items(detail)
    assert loc == ["body", *path]
    assert found == kind or kind is None


def test_a_checkpoint_that_is_required_needs_a_reason(post):
    detail = check_refusal(
        post(text(body(hitl={"required": True, "reason": ""}))), 422, "validation_error"
    )
    assert check_items(detail) == [("value_error", ["body", "hitl"])]


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        (WHOLE[:-1] + b',"context":{"summary":"other"}}', ["body", "context"]),
        (WHOLE.replace(b'"summary"', b'"summary":"a","summary"'), ["body", "context", "summary"]),
        (WHOLE.replace(b'"id"', b'"\\u0069d":"a","id"', 1),
         ["body", "metadata", "source_agent", "id"]),
    ],
)
def test_a_repeated_member_is_refused(post, data, loc):
    detail = check_refusal(post(data), 422, "validation_error")
    assert ("duplicate_key", loc) in check_items(detail)


def test_everything_that_is_wrong_is_said_at_once(post):
    sent = {
        "metadata": {"source_agent": {"id": 1}, "target_agent": [], "priority": "urgent",
                     "created_at": "never"},
        "context": {"conversation_state": [{"role": "robot"}, 5], "custom": []},
        "parent_packet_id": "x",
        "decisions": [{"id": "d"}],
        "hitl": {"required": 7, "timeout_seconds": "soon"},
    }
    detail = check_refusal(post(text(sent)), 422, "validation_error")
    assert sorted(check_items(detail), key=str) == sorted(
        [
            ("string_type", ["body", "metadata", "source_agent", "id"]),
            ("missing", ["body", "metadata", "source_agent", "name"]),
            ("model_attributes_type", ["body", "metadata", "target_agent"]),
            ("enum", ["body", "metadata", "priority"]),
            ("datetime_from_date_parsing", ["body", "metadata", "created_at"]),
            ("missing", ["body", "context", "summary"]),
            ("enum", ["body", "context", "conversation_state", 0, "role"]),
            ("missing", ["body", "context", "conversation_state", 0, "content"]),
            ("model_attributes_type", ["body", "context", "conversation_state", 1]),
            ("dict_type", ["body", "context", "custom"]),
            ("uuid_parsing", ["body", "parent_packet_id"]),
            ("missing", ["body", "decisions", 0, "decision"]),
            ("missing", ["body", "decisions", 0, "rationale"]),
            ("bool_parsing", ["body", "hitl", "required"]),
            ("int_parsing", ["body", "hitl", "timeout_seconds"]),
            ("missing", ["body", "hitl", "reason"]),
        ],
        key=str,
    )
    by_loc = {tuple(item["loc"]): item for item in detail}
    assert by_loc["body", "metadata", "priority"]["input"] == "urgent"
    assert by_loc["body", "context", "summary"]["input"] == sent["context"]


@pytest.mark.changes
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "x/y; charset=z"])
def test_a_body_is_judged_by_itself(post, content_type):
    answer = post(b"\xef\xbb\xbf " + WHOLE + b"\r\n", headers={"Content-Type": content_type})
    assert answer.status == 201


# --- too much of it ------------------------------------------------------------------------------


def padded(length):
    made = text(body("MARK"))
    return made.replace(b"MARK", b"x" * (length - len(made) + 4))


def chunked(web, data, size=50000):
    head = web.head("POST", PACKETS, {**web.headers, "Transfer-Encoding": "chunked"})
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


@pytest.mark.changes
def test_a_body_may_be_as_long_as_the_limit(loop, web, post):
    assert post(padded(BODY_MAX)).status == 201
    assert loop.run(web.raw(chunked(web, padded(BODY_MAX)))).status == 201


def test_a_longer_body_is_refused(post):
    detail = check_refusal(post(padded(BODY_MAX + 1)), 413, "too_large")
    assert "too large" in detail


def test_a_longer_body_in_chunks_is_refused(loop, web):
    answer = loop.run(web.raw(chunked(web, padded(BODY_MAX + 1))))
    check_refusal(answer, 413, "too_large")


def test_a_body_that_only_says_it_is_long_is_refused_unread(loop, web):
    head = web.head("POST", PACKETS, {**web.headers, "Content-Length": str(10**12)})
    check_refusal(loop.run(web.raw(head)), 413, "too_large")


def test_an_endless_body_is_cut_off(loop, web):
    head = web.head("POST", PACKETS, {**web.headers, "Transfer-Encoding": "chunked"})
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    check_refusal(loop.run(web.raw(head + chunk * 100)), 413, "too_large")
    with socket.create_connection((web.host, web.port), timeout=10) as it, pytest.raises(OSError):
        it.sendall(head)
        for _ in range(2000):
            it.sendall(chunk)
    assert loop.run(web.get("/health")).status == 200


# --- around the body -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        (PACKETS + "?limit=0", "greater_than_equal", "limit"),
        (PACKETS + "?limit=-1", "greater_than_equal", "limit"),
        (PACKETS + "?limit=201", "less_than_equal", "limit"),
        (PACKETS + "?limit=ten", "int_parsing", "limit"),
        (PACKETS + "?limit=1.5", "int_parsing", "limit"),
        (PACKETS + "?limit=99999999999999999999", "int_parsing", "limit"),
        (PACKETS + "?limit=5&limit=x", "int_parsing", "limit"),
        (PACKETS + "?offset=-1", "greater_than_equal", "offset"),
        (PACKETS + "?created_after=soon", "datetime_from_date_parsing", "created_after"),
        (PACKETS + "?created_before=2026-01-01T00:00:00+00:00", "datetime_from_date_parsing",
         "created_before"),
        (PACKETS + "?source_agent=%ff", "string_unicode", "source_agent"),
        (PACKETS + "?tags=%ed%a0%80", "string_unicode", "tags"),
        ("/api/v1/audit?limit=0", "greater_than_equal", "limit"),
        ("/api/v1/audit?offset=x", "int_parsing", "offset"),
        ("/api/v1/audit?created_after=2026-99-99", "datetime_from_date_parsing", "created_after"),
        ("/api/v1/audit?packet_id=%c0%af", "string_unicode", "packet_id"),
        (f"{PACKETS}/{NOWHERE}/history?all=perhaps", "bool_parsing", "all"),
    ],
)
def test_a_bad_parameter_is_named(loop, web, target, kind, name):
    detail = check_refusal(loop.run(web.get(target)), 422, "validation_error")
    assert check_items(detail) == [(kind, ["query", name])]


def test_all_bad_parameters_are_named(loop, web):
    answer = loop.run(web.get(PACKETS + "?limit=0&offset=x&created_after=y&status=nonsense"))
    found = check_items(check_refusal(answer, 422, "validation_error"))
    assert sorted(loc[1] for _, loc in found) == ["created_after", "limit", "offset"]


@pytest.mark.parametrize(
    "cursor",
    ["not-a-cursor", "%00", "%ff", "AAAA", "e30", "eyJhIjoxfQ", "=", "a" * 2000, "%F0%9F%98%80"],
)
def test_a_bad_cursor_is_refused(loop, web, cursor):
    answer = loop.run(web.get(f"{PACKETS}?cursor={cursor}"))
    if answer.status == 422:  # not even text
        assert cursor == "%ff"
        check_refusal(answer, 422, "validation_error")
    else:
        assert check_refusal(answer, 400, "invalid_cursor") == "Invalid cursor"


@pytest.mark.parametrize(
    "packet_id",
    ["abc", "batches", "11111111-1111-4111-8111-11111111111", "11111111111141118111111111111111f",
     "%00", NOWHERE + "%00", "g1111111-1111-4111-8111-111111111111", "*", ">", "a.b", "%f0%9f%98%80"],
)
def test_an_id_that_is_none_is_refused(loop, web, packet_id):
    for method, suffix, data in [
        ("GET", "", None),
        ("PATCH", "", b"{}"),
        ("DELETE", "", None),
        ("POST", "/claim", text(claim())),
        ("GET", "/history", None),
    ]:
        answer = loop.run(web.request(method, f"{PACKETS}/{packet_id}{suffix}", data))
        detail = check_refusal(answer, 422, "validation_error")
        assert check_items(detail)[0] == ("uuid_parsing", ["path", "packet_id"]), method


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_bad_idempotency_key_is_refused(post, key):
    answer = post(WHOLE, headers={"Idempotency-Key": key})
    detail = check_refusal(answer, 400, "invalid_header")
    assert "Idempotency-Key" in detail


@pytest.mark.changes
def test_an_empty_header_takes_no_other_along(loop, web, post):
    key = {"Idempotency-Key": uuid.uuid4().hex, "traceparent": ""}
    made = post(WHOLE, headers=key)
    assert post(WHOLE, headers=key).json() == made.json()
    target = PACKETS + "/" + made.json()["id"]
    answer = loop.run(web.patch(target, b"{}", {"If-Match": '"1"', "traceparent": ""}))
    check_refusal(answer, 412, "precondition_failed")


@pytest.mark.changes
def test_if_match_must_match(loop, web, post):
    made = post(WHOLE)
    target = PACKETS + "/" + made.json()["id"]
    seq = int(made.headers["x-hr-seq"])
    for junk in ["0", '"0"', str(seq + 1), f'"{seq}', f'W/"{seq + 1}"', "junk", "-1", "", "9" * 30,
                 f"{seq} "[:-1] + "x"]:
        for method, suffix, data in [
            ("PATCH", "", b'{"status":"failed"}'),
            ("DELETE", "", None),
            ("POST", "/claim", text(claim())),
        ]:
            answer = loop.run(web.request(method, target + suffix, data, {"If-Match": junk}))
            check_refusal(answer, 412, "precondition_failed")
    assert loop.run(web.get(target)).headers["x-hr-seq"] == str(seq)
    answer = loop.run(web.patch(target, b"{}", {"If-Match": made.headers["etag"]}))
    assert answer.status == 200


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "99999999999999999999999", ""])
def test_a_bad_min_seq_is_refused(loop, web, value):
    answer = loop.run(web.get(PACKETS, {"X-HR-Min-Seq": value}))
    check_refusal(answer, 400, "invalid_header")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "key_missing"),
        ({"X-API-Key": ""}, "key_missing"),
        ({"X-API-Key": "hr_nobody"}, "key_invalid"),
        ({"X-API-Key": "x" * 5000}, "key_invalid"),
        ({"Authorization": "Bearer x"}, "key_missing"),
    ],
)
def test_without_a_key_nothing_is_done(loop, rail, headers, code):
    from web import Web

    web = Web(rail.url, headers)
    try:
        for method, target, data in [
            ("GET", PACKETS, None),
            ("POST", PACKETS, WHOLE),
            ("GET", f"{PACKETS}/{NOWHERE}", None),
            ("DELETE", f"{PACKETS}/{NOWHERE}", None),
            ("GET", "/api/v1/audit", None),
        ]:
            answer = loop.run(web.request(method, target, data))
            check_refusal(answer, 401, code)
    finally:
        web.close()


# --- claims and changes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "items"),
    [
        ({}, [("missing", ["body", "agent_id"]), ("missing", ["body", "agent_name"])]),
        ({"agent_id": None, "agent_name": 1},
         [("string_type", ["body", "agent_id"]), ("string_type", ["body", "agent_name"])]),
        (claim(framework=[]), [("string_type", ["body", "framework"])]),
        ([], [("model_attributes_type", ["body"])]),
        (None, [("missing", ["body"])]),
    ],
)
def test_a_claim_says_who(post, sent, items):
    answer = post(text(sent), f"{PACKETS}/{NOWHERE}/claim")
    assert check_items(check_refusal(answer, 422, "validation_error")) == items


@pytest.mark.parametrize(
    ("sent", "items"),
    [
        ({"status": "done"}, [("enum", ["body", "status"])]),
        ({"status": 1}, [("enum", ["body", "status"])]),
        ({"context": {}}, [("missing", ["body", "context", "summary"])]),
        ({"decisions": {}}, [("list_type", ["body", "decisions"])]),
        ({"decisions": [{}]},
         [("missing", ["body", "decisions", 0, name]) for name in ("id", "decision", "rationale")]),
        ({"actions": []}, [("model_attributes_type", ["body", "actions"])]),
        ({"actions": {"pending": 1}}, [("list_type", ["body", "actions", "pending"])]),
        ({"dependencies": "x"}, [("list_type", ["body", "dependencies"])]),
        ({"hitl": {}}, [("missing", ["body", "hitl", "reason"])]),
        ([], [("model_attributes_type", ["body"])]),
    ],
)
def test_a_change_says_what(loop, web, sent, items):
    answer = loop.run(web.patch(f"{PACKETS}/{NOWHERE}", text(sent)))
    assert check_items(check_refusal(answer, 422, "validation_error")) == items


# --- over NATS -----------------------------------------------------------------------------------


def check_reply(reply, status, code):
    assert reply.status == status, reply
    assert reply.headers["Nats-Service-Error"] == code
    if reply.headers["Content-Type"] == "application/json":
        assert reply.json()["code"] == code
        return reply.json()["detail"]
    error = reply.message()
    assert (error.status, error.code) == (status, code)
    return json.loads(error.detail.text)


@pytest.mark.parametrize("what", [*NOT_JSON, *NOT_UTF8])
def test_what_is_not_json_is_refused_over_nats(loop, agent, what):
    data = {**NOT_JSON, **NOT_UTF8}[what]
    reply = loop.run(agent.json("packet.create", data))
    if what in NOT_UTF8:
        check_reply(reply, 400, "unparsable_body")
    else:
        assert check_reply(reply, 422, "validation_error")[0]["type"] == "json_invalid"


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1 ", b'"x"'])
def test_what_is_no_object_is_refused_over_nats(loop, agent, data):
    reply = loop.run(agent.json("packet.create", data))
    detail = check_reply(reply, 422, "validation_error")
    assert detail[0]["loc"] == ["body"]


def packed(**parts):
    made = command_pb2.CreatePacket(**parts)
    return made.SerializeToString()


AGENTS = {"source_agent": {"id": "a", "name": "A"}, "target_agent": {"id": "b", "name": "B"}}
GOOD = packed(metadata=AGENTS, context={"summary": "s"})


def protobuf_custom(data):
    return packed(metadata=AGENTS, context={"summary": "s", "custom": {"text": data}})


def bad_utf8(message):
    return message.replace(b"\x0a\x01a", b"\x0a\x01\xff", 1)


BAD_PROTOBUF = {
    "garbage": (b"\xff\xff\xff\xff", 400, None),
    "a list of JSON": (b"[" + WHOLE + b"]", 400, None),
    "cut off": (GOOD[:-1], 400, None),
    "a length beyond the end": (b"\x0a\xff\xff\xff\x7f", 400, None),
    "endless varint": (b"\x08" + b"\xff" * 20, 400, None),
    "wire type 7": (b"\x0f", 400, None),
    "nothing": (b"", 422, ["body", "metadata"]),
    "no context": (packed(metadata=AGENTS), 422, ["body", "context"]),
    "no target": (
        packed(metadata={"source_agent": {"id": "a"}}, context={"summary": "s"}),
        422,
        ["body", "metadata", "target_agent"],
    ),
    "text that is not UTF-8": (bad_utf8(GOOD), 422, ["body", "metadata", "source_agent", "id"]),
    "an unknown priority": (
        packed(metadata={**AGENTS, "priority": 99}, context={"summary": "s"}),
        422,
        ["body", "metadata", "priority"],
    ),
    "custom that is not JSON": (protobuf_custom(b"{"), 422, ["body", "context", "custom"]),
    "custom that is empty": (protobuf_custom(b""), 422, ["body", "context", "custom"]),
    "custom that is a list": (protobuf_custom(b"[]"), 422, ["body", "context", "custom"]),
    "custom that is two values": (protobuf_custom(b"{}{}"), 422, ["body", "context", "custom"]),
    "custom with half a pair": (
        protobuf_custom(b'{"a":"\\ud800"}'), 422, ["body", "context", "custom"]
    ),
    "custom with a NUL": (protobuf_custom(b'{"a":"\x00"}'), 422, ["body", "context", "custom"]),
    "custom that is not UTF-8": (
        protobuf_custom(b'{"a":"\xff"}'), 422, ["body", "context", "custom"]
    ),
    "custom that is a bomb": (
        protobuf_custom(b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}"),
        422,
        ["body", "context", "custom"],
    ),
    "a decision without text": (
        GOOD + b"\x22\x00", 422, ["body", "decisions", 0, "id"]
    ),
    "seven megabytes of empty decisions": (GOOD + b"\x22\x00" * 3_500_000, 413, None),
    "a few too many decisions": (
        GOOD + b"\x22\x0b\x0a\x01i\x12\x01d\x1a\x03why" * 10_001, 422, ["body", "decisions"]
    ),
    "a bad parent": (
        packed(metadata=AGENTS, context={"summary": "s"}, parent_packet_id="x"),
        422,
        ["body", "parent_packet_id"],
    ),
}


@pytest.mark.parametrize("what", BAD_PROTOBUF)
def test_bad_protobuf_is_refused(loop, agent, what):
    data, status, loc = BAD_PROTOBUF[what]
    reply = loop.run(agent.send("packet.create", data))
    if status != 422:
        check_reply(reply, status, {400: "unparsable_body", 413: "too_large"}[status])
    else:
        detail = check_reply(reply, 422, "validation_error")
        assert loc in [item["loc"] for item in detail]


@pytest.mark.parametrize("verb", ["get", "update", "delete", "claim", "history"])
@pytest.mark.parametrize("packet_id", [None, "", "abc", "*", ">", "a.b", "\x00"])
def test_a_command_names_a_packet(loop, agent, verb, packet_id):
    sent = claim() if verb == "claim" else {}
    if packet_id is not None:
        sent["packet_id"] = packet_id
    reply = loop.run(agent.json("packet." + verb, sent))
    detail = check_reply(reply, 422, "validation_error")
    assert [item["loc"] for item in detail] == [["body", "packet_id"]]


@pytest.mark.parametrize(
    "headers",
    [{"Idempotency-Key": "x" * 256}, {"HR-If-Match": "x"}, {"HR-If-Match": "-1"},
     {"HR-If-Match": "0"}, {"HR-If-Match": ""}, {"Idempotency-Key": ""}, {"HR-Min-Seq": "soon"}, {"HR-If-Match": "1x"}],
)
def test_bad_headers_are_refused_over_nats(loop, agent, headers):
    reply = loop.run(agent.json("packet.update", {"packet_id": NOWHERE}, headers))
    check_reply(reply, 400, "invalid_header")


def test_the_limit_here_is_the_limit_there(web, loop):
    """BODY_MAX is the gateway's default."""
    answer = loop.run(web.raw(web.head("POST", PACKETS, {**web.headers, "Content-Length": "9" * 9})))
    assert int(re.search(r"max (\d+) bytes", answer.json()["detail"])[1]) == BODY_MAX
