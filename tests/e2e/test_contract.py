"""The REST contract: what every client may rely on."""

import asyncio
import datetime
import json
import re
import time
import uuid

import httpx
import pytest
from agent import gather
from openapi_spec_validator import validate
from packets import PACKETS, WORKERS, body, claim, postgres

NOWHERE = "11111111-1111-4111-8111-111111111111"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PACKET_KEYS = [
    "id", "version", "parent_packet_id", "metadata", "context", "decisions", "actions",
    "dependencies", "hitl", "status", "created_at", "updated_at",
]
STATUSES = [
    "created", "claimed", "in_progress", "awaiting_human", "completed", "failed", "expired",
]


@pytest.fixture(scope="module")
def http(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=10) as client:
        yield client


@pytest.fixture
def create(http):
    def make(**parts):
        answer = http.post(PACKETS, json=body(**parts))
        assert answer.status_code == 201, answer.text
        return answer.json()

    return make


def new_key():
    return {"Idempotency-Key": uuid.uuid4().hex}


def path(packet, suffix=""):
    return f"{PACKETS}/{packet['id']}{suffix}"


def patch(http, packet, **changes):
    answer = http.patch(path(packet), json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def history(http, packet, query=""):
    answer = http.get(path(packet, "/history" + query))
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


def refusal(answer, status, code):
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert found["code"] == code
    assert found["request_id"] == answer.headers["x-request-id"]
    return found["detail"]


# --- a life --------------------------------------------------------------------------------------


def test_a_packet_has_every_member_in_order(create):
    packet = create()
    assert list(packet) == PACKET_KEYS
    assert (packet["version"], packet["status"]) == ("1.0.0", "created")
    assert packet["created_at"] == packet["updated_at"] == packet["metadata"]["created_at"]
    assert STAMP.fullmatch(packet["created_at"])
    assert packet["metadata"] == {
        "source_agent": {"id": "planner", "name": "Planner", "framework": None, "version": None},
        "target_agent": {"id": "coder", "name": "Coder", "framework": None},
        "created_at": packet["created_at"],
        "claimed_at": None,
        "completed_at": None,
        "priority": "normal",
        "tags": [],
        "addressed_to": {"id": "coder", "name": "Coder", "framework": None},
    }
    assert packet["context"] == {
        "summary": "do it", "conversation_state": [], "artifacts": [], "custom": {},
    }
    assert packet["actions"] == {"pending": [], "completed": [], "failed": []}
    assert (packet["decisions"], packet["dependencies"], packet["hitl"]) == ([], [], None)


def test_a_whole_life_has_four_rows_of_history(http, create):
    packet = create()
    taken = http.post(path(packet, "/claim"), json=claim("writer", framework="langchain")).json()
    assert taken["metadata"]["target_agent"] == {
        "id": "writer", "name": "Writer", "framework": "langchain",
    }
    assert taken["metadata"]["addressed_to"]["id"] == "coder"
    assert STAMP.fullmatch(taken["metadata"]["claimed_at"])
    patch(http, packet, status="in_progress")
    patch(http, packet, context={"summary": "changed"})
    done = patch(http, packet, status="completed")
    assert STAMP.fullmatch(done["metadata"]["completed_at"])
    assert done["metadata"]["claimed_at"] == taken["metadata"]["claimed_at"]

    rows = history(http, packet)
    assert [(row["event_type"], row["actor"], row["details"]) for row in rows] == [
        ("created", "agent:planner", {}),
        ("claimed", "agent:writer", {"agent_name": "Writer", "framework": "langchain"}),
        ("in_progress", "agent:writer", {"from_status": "claimed", "to_status": "in_progress"}),
        ("completed", "agent:writer", {"from_status": "in_progress", "to_status": "completed"}),
    ]
    for row in rows:
        assert row["packet_id"] == packet["id"]
        assert STAMP.fullmatch(row["timestamp"])
    assert len({row["id"] for row in rows}) == 4
    everything = history(http, packet, "?all=true")
    assert [row["event_type"] for row in everything] == [
        "created", "claimed", "in_progress", "updated", "completed",
    ]
    assert everything[3]["details"] == {"fields": ["context"]}


def test_the_quick_start_completes_straight_after_the_claim(http, create):
    packet = create()
    assert http.post(path(packet, "/claim"), json=claim()).status_code == 200
    patch(http, packet, status="completed")
    assert [row["event_type"] for row in history(http, packet)] == [
        "created", "claimed", "completed",
    ]


def test_curl_needs_no_content_type(http):
    answer = http.post(
        PACKETS, content=json.dumps(body()),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "spelling",
    [
        str.upper,
        lambda text: text.replace("-", ""),
        lambda text: "urn:uuid:" + text,
        lambda text: "{" + text + "}",
    ],
)
def test_every_spelling_of_an_id_is_accepted(http, create, spelling):
    packet = create()
    found = http.get(f"{PACKETS}/{spelling(packet['id'])}")
    assert found.json()["id"] == packet["id"]
    made = create(parent_packet_id=spelling(packet["id"]))
    assert made["parent_packet_id"] == packet["id"]


def test_what_the_server_owns_is_not_the_clients(http):
    sent = body(id=NOWHERE, version="9", status="completed", created_at="2001-01-01T00:00:00Z",
                nonsense=1, _links={})
    sent["metadata"].update(
        created_at="2001-01-01T00:00:00+05:00", claimed_at="2001-01-01T00:00:00Z",
        completed_at="2001-01-01T00:00:00Z",
        addressed_to={"id": "x", "name": "X"}, nonsense=1,
    )
    packet = http.post(PACKETS, json=sent).json()
    assert list(packet) == [*PACKET_KEYS, "nonsense", "_links"], "what nobody knows is kept"
    assert packet["id"] != NOWHERE and packet["version"] == "1.0.0"
    assert packet["status"] == "created" and packet["created_at"] > "2020"
    meta = packet["metadata"]
    assert meta["created_at"] == "2000-12-31T19:00:00.000000Z", "kept, in UTC"
    assert (meta["claimed_at"], meta["completed_at"]) == (None, None)
    assert meta["addressed_to"]["id"] == "coder" and meta["nonsense"] == 1
    newest = http.get(PACKETS + "?limit=1").json()["packets"]
    assert newest[0]["id"] == packet["id"], "order goes by the server's own stamp"


# --- changes -------------------------------------------------------------------------------------


def test_patch_merges_as_the_contract_says(http):
    sent = body(
        decisions=[
            {"id": "1", "decision": "a", "rationale": ""},
            {"id": "2", "decision": "b", "rationale": ""},
        ],
        actions={
            "pending": [{"id": "p", "description": "x", "assignee": "y"}],
            "completed": [{"id": "c", "description": "x", "result": "y"}],
            "failed": [{"id": "f", "description": "x", "error": "y"}],
        },
        dependencies=[{"id": "d", "type": "api", "description": "x"}],
    )
    sent["context"].update(
        conversation_state=[{"role": "user", "content": "hello"}], custom={"k": 1}
    )
    packet = http.post(PACKETS, json=sent).json()

    found = patch(http, packet)
    assert {**found, "updated_at": None} == {**packet, "updated_at": None}
    assert found["updated_at"] > packet["updated_at"]

    found = patch(http, packet, decisions=[
        {"id": "2", "decision": "B", "rationale": "r"},
        {"id": "3", "decision": "c", "rationale": ""},
        {"id": "3", "decision": "d", "rationale": ""},
    ])
    assert [(d["id"], d["decision"]) for d in found["decisions"]] == [
        ("1", "a"), ("2", "B"), ("3", "c"), ("3", "d"),
    ]
    found = patch(http, packet, actions={"pending": []})
    assert found["actions"]["pending"] == []
    assert [a["id"] for a in found["actions"]["completed"] + found["actions"]["failed"]] == ["c", "f"]
    found = patch(http, packet, actions={"failed": [{"id": "g", "description": "x", "error": "y"}]})
    assert [a["id"] for a in found["actions"]["completed"] + found["actions"]["failed"]] == ["c", "g"]
    found = patch(http, packet, dependencies=[])
    assert found["dependencies"] == []
    found = patch(http, packet, hitl={"reason": "look at it"})
    assert found["hitl"]["required"] is True and found["status"] == "created"
    found = patch(http, packet, context={"summary": "new"})
    assert found["context"] == {
        "summary": "new", "conversation_state": [], "artifacts": [], "custom": {},
    }
    before = found
    found = patch(http, packet, context=None, decisions=None, actions=None, dependencies=None,
                  hitl=None, status=None, metadata={"priority": "low"}, schema_id="x", version="7")
    assert {**found, "updated_at": None} == {**before, "updated_at": None}


ALLOWED = {
    "created": ["claimed", "awaiting_human", "failed", "expired"],
    "claimed": ["in_progress", "completed", "awaiting_human", "failed", "expired"],
    "in_progress": ["completed", "awaiting_human", "failed", "expired"],
    "awaiting_human": ["failed", "expired"],
    "completed": ["expired"],
    "failed": ["expired"],
    "expired": [],
}


def bring_to(http, create, status):
    if status == "awaiting_human":
        return create(hitl={"reason": "ask"})
    packet = create()
    if status in ("claimed", "in_progress", "completed"):
        assert http.post(path(packet, "/claim"), json=claim("holder")).status_code == 200
    if status in ("in_progress", "completed", "failed"):
        patch(http, packet, status=status)
    if status == "expired":
        assert http.delete(path(packet)).status_code == 204
    return http.get(path(packet)).json()


@pytest.mark.parametrize("to", STATUSES)
@pytest.mark.parametrize("start", STATUSES)
def test_the_table_of_transitions(http, create, start, to):
    packet = bring_to(http, create, start)
    assert packet["status"] == start
    rows = len(history(http, packet, "?all=true"))
    answer = http.patch(path(packet), json={"status": to, "context": {"summary": "also"}})
    if to in ALLOWED[start] or to == start:
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == to
        assert answer.json()["context"]["summary"] == "also"
        return
    if start == "awaiting_human" and to in ("claimed", "in_progress"):
        refusal(answer, 409, "awaiting_human")
    else:
        words = "[" + ", ".join(f"'{status}'" for status in ALLOWED[start]) + "]"
        assert refusal(answer, 400, "illegal_transition") == (
            f"Cannot transition from '{start}' to '{to}'. "
            f"Allowed transitions from '{start}': {words}"
        )
    after = http.get(path(packet))
    assert after.json() == packet, "a refused PATCH changes nothing"
    assert len(history(http, packet, "?all=true")) == rows


@pytest.mark.parametrize("start", STATUSES)
def test_who_may_be_claimed(http, create, start):
    packet = bring_to(http, create, start)
    answer = http.post(path(packet, "/claim"), json=claim("late"))
    if start == "created":
        assert answer.status_code == 200
    elif start == "claimed":
        assert refusal(answer, 409, "already_claimed") == {
            "message": f"Packet {packet['id']} is already claimed",
            "claimed_by": {"id": "holder", "name": "Holder", "framework": None},
        }
    elif start == "expired":
        assert refusal(answer, 410, "expired") == f"Packet {packet['id']} has expired"
    elif start == "awaiting_human":
        refusal(answer, 409, "awaiting_human")
    else:
        detail = refusal(answer, 400, "illegal_transition")
        assert detail.startswith(f"Cannot transition from '{start}' to 'claimed'.")


def test_a_packet_may_be_for_its_addressee_only(http):
    sent = body()
    sent["metadata"]["claim_policy"] = "addressed"
    packet = http.post(PACKETS, json=sent).json()
    assert packet["metadata"]["claim_policy"] == "addressed"
    refusal(http.post(path(packet, "/claim"), json=claim("thief")), 409, "not_addressed")
    assert http.post(path(packet, "/claim"), json=claim("coder")).status_code == 200


@pytest.mark.parametrize("start", STATUSES)
def test_delete_expires(http, create, start):
    packet = bring_to(http, create, start)
    answer = http.delete(path(packet))
    if start == "expired":
        assert refusal(answer, 409, "already_expired") == f"Packet {packet['id']} is already expired"
        return
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(path(packet)).json()["status"] == "expired"
    last = history(http, packet)[-1]
    assert (last["event_type"], last["actor"]) == ("expired", "system:soft_delete")
    assert last["details"] == {"previous_status": start, "reason": "soft_delete"}


# --- routes --------------------------------------------------------------------------------------


def test_what_is_not_there_is_404(http):
    for method, suffix, sent in [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/claim", claim()),
        ("GET", "/history", None),
    ]:
        answer = http.request(method, f"{PACKETS}/{NOWHERE.upper()}{suffix}", json=sent)
        assert refusal(answer, 404, "not_found") == f"Packet {NOWHERE} not found"
    for target in ["/", "/nothing", "/api/v1", PACKETS + "s", f"{PACKETS}/{NOWHERE}/nothing",
                   "/API/V1/PACKETS", "/api//v1/packets", f"{PACKETS}/{NOWHERE}/claim/x"]:
        assert refusal(http.get(target), 404, "no_route") == "Not Found"


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("PUT", PACKETS, "GET"),
        ("HEAD", PACKETS, "GET"),
        ("OPTIONS", PACKETS, "GET"),
        ("POST", f"{PACKETS}/{NOWHERE}", "GET"),
        ("GET", f"{PACKETS}/{NOWHERE}/claim", "POST"),
        ("POST", f"{PACKETS}/{NOWHERE}/history", "GET"),
        ("POST", "/health", "GET"),
        ("HEAD", "/health", "GET"),
        ("DELETE", "/api/v1/audit", "GET"),
        ("BREW", PACKETS, "GET"),
    ],
)
def test_another_method_is_405(http, method, target, allow):
    answer = http.request(method, target)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    if method != "HEAD":
        assert refusal(answer, 405, "method_not_allowed") == "Method Not Allowed"


def test_a_slash_too_many_leads_to_the_right_place(http, create):
    packet = create()
    answer = http.get(PACKETS + "/?limit=1&tags=a%2Cb%26c+d&x")
    assert (answer.status_code, answer.content) == (307, b"")
    origin = str(http.base_url).rstrip("/")
    assert answer.headers["location"] == origin + PACKETS + "?limit=1&tags=a%2Cb%26c+d&x"
    answer = http.get(f"{PACKETS}/x%0d%0aEvil:%20%3f%25/")
    assert answer.status_code == 307 and "evil" not in answer.headers
    assert answer.headers["location"].endswith(PACKETS + "/x%0d%0aEvil:%20%3f%25")
    answer = http.get(PACKETS + "/?limit=1", follow_redirects=True)
    assert (answer.status_code, answer.json()["limit"]) == (200, 1)
    answer = http.post(PACKETS + "/", json=body(), follow_redirects=True)
    assert answer.status_code == 201
    answer = http.get(path(packet, "/"), follow_redirects=True)
    assert answer.json() == packet
    assert http.get("/nothing/").status_code == 404


def test_requests_are_told_apart_by_their_id(http):
    given = http.get("/health", headers={"X-Request-Id": "trace-42.a_b"})
    assert given.headers["x-request-id"] == "trace-42.a_b"
    refused = http.get(f"{PACKETS}/{NOWHERE}", headers={"X-Request-Id": "mine"})
    assert refused.json()["request_id"] == "mine"
    made = {http.get("/health").headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5
    for junk in ["", 'a"b', "a\\b", "x" * 129, "a b"]:
        answer = http.get(f"{PACKETS}/{NOWHERE}", headers={"X-Request-Id": junk})
        uuid.UUID(answer.headers["x-request-id"])
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


# --- versions and repeats ------------------------------------------------------------------------


def test_a_version_guards_a_change(http):
    made = http.post(PACKETS, json=body())
    packet = made.json()
    seq = int(made.headers["x-hr-seq"])
    assert made.headers["etag"] == f'"{seq}"'
    got = http.get(path(packet))
    assert (got.headers["etag"], got.headers["x-hr-seq"]) == (f'"{seq}"', str(seq))
    same = http.get(path(packet), headers={"If-None-Match": f'"{seq}"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", f'"{seq}"')

    changed = http.patch(path(packet), json={}, headers={"If-Match": f'"{seq}"'})
    assert changed.status_code == 200
    newer = int(changed.headers["x-hr-seq"])
    assert newer > seq
    assert http.get(path(packet), headers={"If-None-Match": f'"{seq}"'}).status_code == 200
    stale = {"If-Match": f'"{seq}"'}
    for answer in [
        http.patch(path(packet), json={"status": "failed"}, headers=stale),
        http.post(path(packet, "/claim"), json=claim(), headers=stale),
        http.delete(path(packet), headers=stale),
    ]:
        refusal(answer, 412, "precondition_failed")
    assert http.get(path(packet)).json() == changed.json()
    answer = http.patch(path(packet), json={}, headers={"If-Match": str(newer)})
    assert answer.status_code == 200
    answer = http.delete(path(packet), headers={"If-Match": "*"})
    assert answer.status_code == 204


def same_answer(first, second):
    assert (second.status_code, second.content) == (first.status_code, first.content)
    for name in ("etag", "x-hr-seq"):
        assert second.headers[name] == first.headers[name]


def test_a_repeat_is_answered_as_the_first_was(http):
    keys = {name: new_key() for name in ("create", "claim", "patch", "delete")}
    made = http.post(PACKETS, json=body("once"), headers=keys["create"])
    packet = made.json()

    def commands():
        yield "create", http.post(PACKETS, json=body("once"), headers=keys["create"])
        yield "claim", http.post(path(packet, "/claim"), json=claim(), headers=keys["claim"])
        yield "patch", http.patch(
            path(packet), json={"status": "in_progress"}, headers=keys["patch"]
        )
        yield "delete", http.delete(path(packet), headers=keys["delete"])

    first = dict(commands())
    assert [a.status_code for a in first.values()] == [201, 200, 200, 204]
    for name, answer in commands():
        same_answer(first[name], answer)
    same_answer(made, first["create"])
    assert [row["event_type"] for row in history(http, packet, "?all=true")] == [
        "created", "claimed", "in_progress", "expired",
    ]
    for answer in [
        http.post(PACKETS, json=body("twice"), headers=keys["create"]),
        http.post(path(packet, "/claim"), json=claim("other"), headers=keys["claim"]),
        http.patch(path(packet), json={"status": "failed"}, headers=keys["patch"]),
        http.post(path(packet, "/claim"), json=claim(), headers=keys["patch"]),
        http.delete(path(packet), headers=keys["create"]),
    ]:
        refusal(answer, 422, "idempotency_key_reused")


def test_a_create_is_remembered_for_ever(http):
    key = new_key()
    made = http.post(PACKETS, json=body("once"), headers=key)
    for i in range(40):
        patch(http, made.json(), context={"summary": f"change {i}"})
    same_answer(made, http.post(PACKETS, json=body("once"), headers=key))
    refusal(http.post(PACKETS, json=body("other"), headers=key), 422, "idempotency_key_reused")


def test_a_key_belongs_to_one_packet_when_it_changes_one(http, create):
    key = new_key()
    one, other = create(), create()
    assert http.post(path(one, "/claim"), json=claim(), headers=key).status_code == 200
    assert http.post(path(other, "/claim"), json=claim(), headers=key).status_code == 200


@pytest.mark.parametrize("kind", ["create", "claim", "patch", "delete"])
def test_identical_commands_at_once_are_one(loop, web, http, create, kind):
    key = new_key()
    target = PACKETS if kind == "create" else path(create())
    method = {"create": "POST", "claim": "POST", "patch": "PATCH", "delete": "DELETE"}[kind]
    sent = {"create": body("at once"), "claim": claim(), "patch": {"status": "failed"}}.get(kind)
    suffix = "/claim" if kind == "claim" else ""

    async def all_at_once():
        return await gather(
            *(web.request(method, target + suffix, sent, key) for _ in range(32))
        )

    answers = loop.run(all_at_once())
    assert {(a.status, a.headers["x-hr-seq"], a.body) for a in answers} == {
        (answers[0].status, answers[0].headers["x-hr-seq"], answers[0].body)
    }
    assert answers[0].status == {"create": 201, "delete": 204}.get(kind, 200)
    packet = answers[0].json() if kind == "create" else http.get(target).json()
    expected = {"create": [], "claim": ["claimed"], "patch": ["failed"], "delete": ["expired"]}
    assert [row["event_type"] for row in history(http, packet)] == ["created", *expected[kind]]


# --- lists ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(http):
    """Packets told apart by a tag of their own: name -> packet, oldest first."""
    tag = uuid.uuid4().hex
    found = {}
    for i in range(12):
        sent = body(f"shelf {i}")
        sent["metadata"]["tags"] = [tag, f"t{i % 3}", "ünï"]
        sent["metadata"]["priority"] = ["low", "normal", "high", "critical"][i % 4]
        sent["metadata"]["source_agent"]["id"] = f"{tag}-s{i % 2}"
        sent["metadata"]["target_agent"]["id"] = f"{tag}-t{i % 5}"
        found[i] = http.post(PACKETS, json=sent).json()
        time.sleep(0.001)
    for i in (0, 1, 2):
        http.post(path(found[i], "/claim"), json=claim(f"{tag}-claimer"))
    patch(http, found[0], status="completed")
    return tag, found


def numbers(page):
    return [int(p["context"]["summary"].split()[1]) for p in page["packets"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, range(12)),
        ({"status": "created"}, range(3, 12)),
        ({"status": " completed , claimed,nonsense"}, [0, 1, 2]),
        ({"status": "nonsense"}, []),
        ({"status": ""}, range(12)),
        ({"priority": "low"}, [0, 4, 8]),
        ({"priority": "nonsense"}, []),
        ({"source_agent": "{tag}-s1"}, range(1, 12, 2)),
        ({"source_agent": "{tag}"}, []),
        ({"target_agent": "{tag}-claimer"}, [0, 1, 2]),
        ({"target_agent": "{tag}-t0"}, [5, 10]),
        ({"tags": "{tag},t1"}, [1, 4, 7, 10]),
        ({"tags": " {tag} ,, t1 , ünï"}, [1, 4, 7, 10]),
        ({"tags": "{tag},t1,t2"}, []),
        ({"status": "created", "priority": "high", "source_agent": "{tag}-s0"}, [6, 10]),
        ({"nonsense": "ignored"}, range(12)),
        ({"limit": "3"}, [9, 10, 11]),
        ({"limit": "3", "offset": "2"}, [7, 8, 9]),
        ({"limit": "1", "offset": "100"}, []),
    ],
)
def test_filters(http, shelf, query, expected):
    tag, _ = shelf
    query = {name: value.replace("{tag}", tag) for name, value in query.items()}
    query.setdefault("tags", tag)
    page = http.get(PACKETS, params=query).json()
    assert list(page) == ["packets", "total", "limit", "offset", "next_cursor"]
    assert numbers(page) == sorted(expected, reverse=True)
    assert page["limit"] == int(query.get("limit", 50))
    assert page["offset"] == int(query.get("offset", 0))
    if "limit" in query:
        assert page["total"] == 12
        more = int(query.get("offset", 0)) + len(page["packets"]) < 12 and page["packets"]
        assert bool(page["next_cursor"]) == bool(more)
    else:
        assert (page["total"], page["next_cursor"]) == (len(expected), None)


def test_times_are_filtered_inclusively_and_with_their_zone(http, shelf):
    tag, found = shelf
    at = datetime.datetime.fromisoformat(found[6]["created_at"])
    zone = datetime.timezone(datetime.timedelta(hours=5))
    for text in [found[6]["created_at"], at.astimezone(zone).isoformat(),
                 at.isoformat().replace("+00:00", "")]:
        page = http.get(PACKETS, params={"tags": tag, "created_after": text}).json()
        assert sorted(numbers(page)) == [*range(6, 12)], text
        page = http.get(PACKETS, params={"tags": tag, "created_before": text}).json()
        assert sorted(numbers(page)) == [*range(7)], text
    page = http.get(PACKETS, params={"tags": tag, "created_before": "2001-01-01"}).json()
    assert numbers(page) == []


@pytest.mark.parametrize("limit", [1, 5, 12, 200])
def test_a_walk_by_cursor_meets_everything_once(http, limit):
    tag = uuid.uuid4().hex

    def add(number):
        sent = body(f"walk {number}")
        sent["metadata"]["tags"] = [tag]
        return http.post(PACKETS, json=sent).json()

    for number in range(12):
        add(number)
    seen, totals, cursor = [], [], ""
    while cursor is not None:
        page = http.get(PACKETS, params={"tags": tag, "limit": limit, "cursor": cursor}).json()
        assert 1 <= len(page["packets"]) <= limit
        seen += numbers(page)
        totals.append(page["total"])
        cursor = page["next_cursor"]
        patch(http, add(99), status="failed")  # what comes meanwhile is newer, and so behind us
    assert seen == [*range(11, -1, -1)]
    assert totals == [12] * -(-12 // limit)


def test_an_offset_is_ignored_with_a_cursor(http, shelf):
    tag, found = shelf
    last = max(p["created_at"] for p in found.values())
    query = {"tags": tag, "limit": 4, "created_before": last}
    cursor = http.get(PACKETS, params=query).json()["next_cursor"]
    page = http.get(PACKETS, params={**query, "cursor": cursor, "offset": 2}).json()
    assert numbers(page) == [7, 6, 5, 4]
    assert page["offset"] == 2


def test_a_reader_sees_its_own_writes(http):
    for i in range(200):
        packet = http.post(PACKETS, json=body(f"mine {i}")).json()
        page = http.get(PACKETS + "?limit=1").json()
        assert page["packets"] == [packet]
        if i % 4 == 0:
            patch(http, packet, status="failed")
            assert http.get(PACKETS + "?limit=1").json()["packets"][0]["status"] == "failed"
            assert len(history(http, packet)) == 2
            entry = http.get("/api/v1/audit?limit=1").json()["entries"][0]
            assert (entry["packet_id"], entry["action"]) == (packet["id"], "failed")


# --- audit ---------------------------------------------------------------------------------------


def test_the_audit_log_is_filtered_and_paged(http, create):
    start = create()
    name = uuid.uuid4().hex
    packets = [create() for _ in range(3)]
    for packet in packets:
        http.post(path(packet, "/claim"), json=claim(name))
        patch(http, packet, context={"summary": "x"})
        patch(http, packet, status="completed")

    def read(**query):
        answer = http.get("/api/v1/audit", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert list(page) == ["entries", "total", "limit", "offset"]
        return page

    page = read(packet_id=packets[0]["id"])
    assert [entry["action"] for entry in page["entries"]] == [
        "completed", "updated", "claimed", "created",
    ]
    assert page["total"] == 4
    newest = page["entries"][0]
    assert newest["resource"] == "packet" and newest["actor"] == f"agent:{name}"
    assert newest["details"] == {"from_status": "claimed", "to_status": "completed"}
    assert STAMP.fullmatch(newest["timestamp"])
    assert {entry["packet_id"] for entry in page["entries"]} == {packets[0]["id"]}

    page = read(actor=f"agent:{name}", limit=4)
    assert (page["total"], page["limit"], len(page["entries"])) == (9, 4, 4)
    stamps = [entry["timestamp"] for entry in page["entries"]]
    assert stamps == sorted(stamps, reverse=True)
    rest = read(actor=f"agent:{name}", limit=200, offset=4)
    assert (rest["total"], rest["offset"], len(rest["entries"])) == (9, 4, 5)
    ids = [entry["id"] for entry in page["entries"] + rest["entries"]]
    assert len(set(ids)) == 9
    assert read(actor=f"agent:{name}", action="claimed")["total"] == 3
    assert read(action="claimed", packet_id=packets[1]["id"])["total"] == 1
    assert read(packet_id=NOWHERE)["total"] == 0
    since = read(created_after=start["created_at"], created_before=newest["timestamp"])
    assert since["total"] >= 4
    assert read(created_before="2001-01-01")["total"] == 0


def test_a_write_can_wait_for_the_audit_log(rail, http):
    with postgres(rail) as connection:
        for i in range(30):
            answer = http.post(
                PACKETS, json=body(f"audited {i}"), headers={"X-HR-Durability": "audited"}
            )
            assert answer.status_code == 201
            row = connection.execute(
                "SELECT type FROM packet_events WHERE seq = %s", (answer.headers["x-hr-seq"],)
            ).fetchone()
            assert row == ("created",)


# --- the rail itself -----------------------------------------------------------------------------


def test_health_and_readiness_need_no_key(rail):
    health = httpx.get(rail.url + "/health")
    assert health.json() == {"status": "ok", "service": "handoffrail"}
    ready = httpx.get(rail.url + "/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready", "service": "handoffrail", "db": True, "nats": True,
        "workers": dict.fromkeys(WORKERS, "ready"),
    }


def samples(http):
    answer = http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for line in answer.text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return answer.text, found


def test_metrics_count_by_route(http, create):
    packet = create()
    counted = (
        'handoffrail_requests_total{method="GET",endpoint="/api/v1/packets/:id",status_code="200"}'
    )
    timed = (
        'handoffrail_request_latency_seconds_count{method="GET",endpoint="/api/v1/packets/:id"}'
    )
    missed = 'handoffrail_requests_total{method="any",endpoint="unmatched",status_code="404"}'
    http.get(path(packet)), http.get("/nothing")
    _, before = samples(http)
    for _ in range(3):
        http.get(path(packet))
    http.get(f"/nothing/{packet['id']}")
    http.request("BREW", PACKETS)
    text, after = samples(http)
    assert after[counted] == before[counted] + 3
    assert after[timed] == before[timed] + 3
    assert after[missed] == before[missed] + 1
    assert packet["id"] not in text and "BREW" not in text and "/nothing" not in text
    for name, kind in [
        ("handoffrail_requests_total", "counter"),
        ("handoffrail_request_latency_seconds", "histogram"),
    ]:
        assert f"# TYPE {name} {kind}\n" in text and f"# HELP {name} " in text
    bounds = re.findall(
        r'latency_seconds_bucket\{method="GET",endpoint="/health",le="([^"]+)"\}', text
    ) or re.findall(r'latency_seconds_bucket\{[^}]*le="([^"]+)"\}', text)
    assert [float(b) for b in dict.fromkeys(bounds)] == [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"),
    ]


ROUTES = {
    ("get", "/health"), ("get", "/ready"), ("get", "/metrics"), ("get", "/openapi.json"),
    ("get", "/docs"), ("get", "/redoc"),
    ("get", PACKETS), ("post", PACKETS),
    ("get", PACKETS + "/{packet_id}"), ("patch", PACKETS + "/{packet_id}"),
    ("delete", PACKETS + "/{packet_id}"),
    ("post", PACKETS + "/{packet_id}/claim"), ("get", PACKETS + "/{packet_id}/history"),
    ("get", "/api/v1/audit"),
}


def test_the_document_is_openapi_and_says_what_is_served(rail, http):
    document = httpx.get(rail.url + "/openapi.json").json()
    validate(document)
    assert document["openapi"] == "3.1.0" and document["info"]["title"] == "HandoffRail"
    operations = {
        (method, target): operation
        for target, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert ROUTES <= set(operations)
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for (method, target), operation in operations.items():
        content = b"null" if "requestBody" in operation else None
        url = re.sub(r"{\w+_id}", NOWHERE, target)
        with http.stream(method, url, content=content) as answer:  # one that has no end is an answer
            assert answer.status_code != 405, (method, target)
            if answer.status_code == 404:
                answer.read()
                assert answer.json()["code"] == "not_found", (method, target)
        public = target in ("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/redoc")
        bare = httpx.request(method, rail.url + re.sub(r"{\w+_id}", NOWHERE, target))
        assert (bare.status_code != 401) == public, (method, target)
        assert bool(operation.get("security", document.get("security"))) != public
    # A method that is not in the document is not served.
    for target, methods in document["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} - set(methods):
            answer = http.request(method, re.sub(r"{\w+_id}", NOWHERE, target))
            # A fixed word in the place of an id is a bad id to the methods that it does not have.
            base, _, word = target.rpartition("/")
            name = "/{hook_id}" if base.endswith("/hooks") else "/{packet_id}"
            is_id = "{" not in word and method in document["paths"].get(base + name, {})
            bad_id = 404 if "/hooks/" in target else 422
            assert answer.status_code == (bad_id if is_id else 405), (method, target)


def test_parameters_are_as_the_document_says(http):
    def parameters(operation):
        return {parameter["name"]: parameter for parameter in operation["parameters"]}

    document = http.get("/openapi.json").json()
    seen = set()
    for target, methods in document["paths"].items():
        for method, operation in methods.items():
            if target.startswith(("/api/v1/events", "/events", "/api/v1/ws", "/ws")):
                continue  # has no end
            known = parameters(operation)
            url = re.sub(r"{\w+_id}", NOWHERE, target)
            needed = {name for name, p in known.items() if p["required"] and p["in"] == "query"}
            query = "&".join(f"{name}={NOWHERE}" for name in needed)
            for name in needed:
                answer = http.request(method, url)
                assert answer.status_code == 422 and name in answer.text
                seen.add(name)
            answer = http.request(method, f"{url}?{query}", headers={"X-HR-Min-Seq": "x"})
            refused = answer.status_code == 400 and "X-HR-Min-Seq" in answer.text
            assert refused == ("X-HR-Min-Seq" in known), (method, target, answer)
            if "X-HR-Claim" in known:
                seen.add("X-HR-Claim")
    assert seen == {"q", "from", "X-HR-Claim"}


def test_answers_are_as_the_document_says(rail, http, create):
    import jsonschema

    document = http.get("/openapi.json").json()
    packet = bring_to(http, create, "claimed")
    for target, template in [
        (path(packet), PACKETS + "/{packet_id}"),
        (PACKETS, PACKETS),
        (path(packet, "/history"), PACKETS + "/{packet_id}/history"),
        ("/api/v1/audit", "/api/v1/audit"),
    ]:
        content = document["paths"][template]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        found = http.get(target).json()
        jsonschema.validate(found, schema)
        name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        assert set(found) <= set(document["components"]["schemas"][name]["properties"])
    refused = http.get(f"{PACKETS}/{NOWHERE}").json()
    content = document["paths"][PACKETS + "/{packet_id}"]["get"]["responses"]["default"]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    jsonschema.validate(refused, schema)
    name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert set(refused) <= set(document["components"]["schemas"][name]["properties"])
