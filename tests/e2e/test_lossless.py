"""Nothing is lost: a packet comes back equal through every door and from every store.

Free-form JSON is compared as text: no digit, blank, escape or order of keys may change.
"""

import asyncio
import base64
import copy
import json
import pathlib
import re
import urllib.parse

import pytest
from agent import STREAM, command_pb2, packet_pb2, record_pb2
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from packets import PACKETS, postgres
from rawjson import LEFT_OUT_WHEN_ABSENT, Raw, fill, is_unknown, of_message, quote, read_packet, write

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPTH_MAX = int(
    re.search(r"JSON_DEPTH_MAX (\d+)", (ROOT / "broker/message/json_text.h").read_text())[1]
)
LEVEL_OF_CUSTOM = 3  # packet, context, custom
AS_SENT = {"HR-Transcript": "2"}

# --- what may be in a packet ---------------------------------------------------------------------

SPECIAL = [
    "",
    "\x00",
    "a\x00b",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f3fd",  # emoji of several code points
    "e\u0301\u0323 \u1e9b\u0323",  # combining marks, not normalised
    "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u202c",  # right to left
    "\ufeffx\ufffe\uffff",
    "\u2028\u2029\x7f\x85",
    "\\u0041 \\ \" / \b\f\n\r\t",
    "\U0010ffff\U00010000",
    "null",
    "'; DROP TABLE packets; --",
]
NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "1.10",
    "1e400",
    "-1E-400",
    "0.1e-7",
    "1E+2",
    "123456789012345678901234567890",
    "-9223372036854775809",
    "18446744073709551616",
    "0.30000000000000004440892098500626",
    "9007199254740993",
]
BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  "])

texts = st.one_of(
    st.sampled_from(SPECIAL),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
times = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
filled = texts.filter(bool)  # where the rail takes no empty text


@st.composite
def quoted(draw):
    """A string as JSON text; which characters are escaped is chance."""
    every = draw(st.integers(1, 5))
    return quote(draw(texts), lambda char: ord(char) % every == 1)


def joined(opening, parts, closing, blank):
    return opening + blank + ("," + blank).join(parts) + blank + closing


def objects_of(values):
    member = st.tuples(quoted(), BLANKS, values).map(lambda t: t[0] + t[1] + ":" + t[1] + t[2])
    # Not a dictionary: keys may repeat, and stay.
    return st.tuples(st.lists(member, max_size=4), BLANKS).map(
        lambda t: joined("{", t[0], "}", t[1])
    )


def lists_of(values):
    return st.tuples(st.lists(values, max_size=4), BLANKS).map(lambda t: joined("[", t[0], "]", t[1]))


any_json = st.recursive(
    st.one_of(quoted(), st.sampled_from(NUMBERS), st.sampled_from(["true", "false", "null"])),
    lambda values: st.one_of(objects_of(values), lists_of(values)),
    max_leaves=12,
)
json_objects = objects_of(any_json).map(Raw)


def nested(levels):
    """An object of so many levels, of objects and lists in turn."""
    opening = "".join('{"":' if i % 2 == 0 else "[" for i in range(levels - 1))
    closing = "".join("}" if i % 2 == 0 else "]" for i in reversed(range(levels - 1)))
    return Raw(opening + ("{}" if levels % 2 else "[]") + closing)


unknown = st.dictionaries(
    texts.map(lambda text: "x" + text), any_json.map(Raw), max_size=2
)


def record(required, optional):
    """With members that the contract does not know."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(known, unknown).map(lambda t: {**t[0], **t[1]})


def maybe(values):
    return st.one_of(st.none(), values)


def several(values):
    return st.lists(values, max_size=3)


priorities = st.sampled_from(["low", "normal", "high", "critical"])
entries = record(
    {
        "role": st.sampled_from(
            ["user", "agent", "system", "human", "assistant", "tool", "developer"]
        ),
        "content": st.one_of(texts, lists_of(any_json).map(Raw), st.just(Raw("null"))),
    },
    {"timestamp": maybe(times), "metadata": maybe(json_objects)},
)
artifacts = record(
    {"key": filled, "value": st.one_of(quoted().map(Raw), json_objects, lists_of(any_json).map(Raw))},
    {"content_type": maybe(texts)},
)
contexts = record(
    {"summary": texts},
    {
        "conversation_state": several(entries),
        "artifacts": several(artifacts),
        "custom": st.one_of(
            json_objects,
            st.integers(1, DEPTH_MAX - LEVEL_OF_CUSTOM + 1).map(nested),
            st.just(nested(DEPTH_MAX - LEVEL_OF_CUSTOM + 1)),
        ),
    },
)
metadata = record(
    {
        "source_agent": record(
            {"id": texts, "name": texts}, {"framework": maybe(texts), "version": maybe(texts)}
        ),
        "target_agent": record({"id": texts, "name": texts}, {"framework": maybe(texts)}),
    },
    {
        "created_at": maybe(times),
        "priority": priorities,
        "tags": several(texts),
        "claim_policy": maybe(st.sampled_from(["open"])),
    },
)
decisions = record(
    {"id": filled, "decision": filled, "rationale": texts},
    {"alternatives": several(texts), "decided_by": maybe(texts), "timestamp": maybe(times)},
)
actions = record(
    {},
    {
        "pending": several(
            record(
                {"id": filled, "description": filled, "assignee": texts},
                {
                    "priority": maybe(priorities),
                    "depends_on": several(texts),
                    "deadline": maybe(times),
                },
            )
        ),
        "completed": several(
            record(
                {"id": filled, "description": filled, "result": texts},
                {"completed_by": maybe(texts), "completed_at": maybe(times)},
            )
        ),
        "failed": several(
            record(
                {"id": filled, "description": filled, "error": texts},
                {"retries_remaining": maybe(st.integers(0, 2**31 - 1))},
            )
        ),
    },
)
dependencies = record(
    {
        "id": filled,
        "type": st.sampled_from(["data", "api", "human_approval", "external_event", "resource"]),
        "description": filled,
    },
    {
        "status": st.sampled_from(["blocked", "available", "unknown"]),
        "source": maybe(texts),
    },
)
def approvable(hitl):
    """With the options that approve, where an answer has consequences."""
    if hitl.get("subject") is not None or hitl.get("quorum") is not None:
        options = [*hitl["options"], "ok"] if hitl.get("options") else hitl.get("options")
        hitl = {**hitl, "approve_options": ["ok"]}
        if options:
            hitl["options"] = options
    return hitl


hitls = record(
    {"required": st.just(False), "reason": texts},
    {
        "question": maybe(texts),
        "options": maybe(several(texts)),
        "notes": maybe(texts),
        "timeout_seconds": maybe(st.integers(1, 365 * 24 * 3600)),
        "free_form": maybe(st.booleans()),
        "quorum": maybe(st.integers(1, 64)),
        "on_reject": maybe(st.sampled_from(["first", "majority"])),
        "subject": maybe(json_objects),
    },
).map(approvable)
bodies = record(
    {"metadata": metadata, "context": contexts},
    {
        "parent_packet_id": maybe(st.uuids().map(str)),
        "decisions": several(decisions),
        "actions": actions,
        "dependencies": several(dependencies),
        "hitl": maybe(hitls),
    },
)

# --- what has to come back -----------------------------------------------------------------------

DEFAULTS = {
    "packet": {"parent_packet_id": None, "decisions": [], "actions": {}, "dependencies": [],
               "hitl": None},
    "metadata": {"created_at": None, "priority": "normal", "tags": []},
    "source_agent": {"framework": None, "version": None},
    "target_agent": {"framework": None},
    "context": {"conversation_state": [], "artifacts": [], "custom": Raw("{}")},
    "conversation_state": {"timestamp": None, "metadata": None},
    "artifacts": {"content_type": None},
    "decisions": {"alternatives": [], "decided_by": None, "timestamp": None},
    "actions": {"pending": [], "completed": [], "failed": []},
    "pending": {"priority": None, "depends_on": [], "deadline": None},
    "completed": {"completed_by": None, "completed_at": None},
    "failed": {"retries_remaining": None},
    "dependencies": {"status": "unknown", "source": None},
    "hitl": {"question": None, "options": None, "response": None, "responded_at": None,
             "responded_by": None, "notes": None, "timeout_seconds": None},
}


def complete(value, name="packet"):
    """A body with every default filled in."""
    if isinstance(value, list):
        return [complete(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    whole = {**DEFAULTS[name], **value}
    whole = {
        member: item if is_unknown(member) else complete(item, member)
        for member, item in whole.items()
    }
    quiet = {"metadata": "Metadata", "hitl": "Hitl"}.get(name, "Packet")
    return {
        member: item
        for member, item in whole.items()
        if item is not None or member not in LEFT_OUT_WHEN_ABSENT[quiet]
    }


def as_sent(packet):
    """What of a packet its sender said."""
    packet = copy.deepcopy(packet)
    for name in ("id", "version", "status", "created_at", "updated_at", "claim"):
        packet.pop(name, None)
    for name in ("claimed_at", "completed_at", "addressed_to"):
        packet["metadata"].pop(name, None)
    return packet


# --- the doors -----------------------------------------------------------------------------------


class Doors:
    def __init__(self, web, agent, admin, connection):
        self.web = web
        self.agent = agent
        self.admin = admin
        self.postgres = connection

    async def create(self, door, body, escape):
        """Returns id and sequence."""
        text = write(body, escape).encode()
        if door == "rest":
            answer = await self.web.post(PACKETS, text, AS_SENT)
            assert answer.status == 201, answer
            return read_packet(answer.body), int(answer.headers["x-hr-seq"])
        if door == "json":
            answer = await self.agent.json("packet.create", text, AS_SENT)
            assert answer.status == 200, answer
            return read_packet(answer.data), answer.seq
        message = fill(command_pb2.CreatePacket(), body)
        answer = await self.agent.protobuf("packet.create", message)
        assert answer.status == 200, answer.message()
        return of_message(answer.message()), answer.seq

    async def read(self, packet_id, seq):
        """The packet as every door and store has it: name -> structure."""
        found = {}
        ref = {"packet_id": packet_id}
        seen = {"X-HR-Min-Seq": str(seq), **AS_SENT}
        answer = await self.web.get(f"{PACKETS}/{packet_id}", AS_SENT)
        found["GET"] = read_packet(answer.body)
        answer = await self.web.get(PACKETS + "?limit=1", seen)
        while answer.status == 503:  # a busy machine: the read side says that it is behind
            await asyncio.sleep(0.2)
            answer = await self.web.get(PACKETS + "?limit=1", seen)
        found["list"] = read_packet(answer.body, ("packets", 0))
        answer = await self.agent.json("packet.get", ref, AS_SENT)
        found["get in JSON"] = read_packet(answer.data)
        answer = await self.agent.protobuf("packet.get", command_pb2.PacketRef(**ref))
        found["get in protobuf"] = of_message(answer.message())
        answer = await self.agent.protobuf(
            "packet.list", command_pb2.ListPackets(limit=1), {"HR-Min-Seq": str(seq)}
        )
        found["list in protobuf"] = of_message(answer.message().packets[0])

        subject = f"hr.v1.packet.0.default.{packet_id}"
        request = json.dumps({"last_by_subj": subject}).encode()
        answer = await self.admin.api("STREAM.MSG.GET." + STREAM, request)
        stored = base64.b64decode(answer["message"]["data"])
        found["stream"] = of_message(record_pb2.PacketRecord.FromString(stored).packet)
        row = self.postgres.execute(
            "SELECT record FROM packet_events WHERE packet_id = %s AND seq = %s", (packet_id, seq)
        ).fetchone()
        assert row[0] == stored, "the audit log has the stream's bytes"
        row = self.postgres.execute(
            "SELECT packet FROM packets WHERE id = %s AND seq = %s", (packet_id, seq)
        ).fetchone()
        found["table of packets"] = of_message(packet_pb2.Packet.FromString(row[0]))
        return found

    async def is_listed(self, packet_id, seq, source):
        query = urllib.parse.urlencode({"source_agent": source, "limit": 1})
        answer = await self.web.get(f"{PACKETS}?{query}", {"X-HR-Min-Seq": str(seq)})
        return [packet["id"] for packet in answer.json()["packets"]] == [packet_id]

    async def actors(self, packet_id, seq):
        answer = await self.web.get(f"{PACKETS}/{packet_id}/history", {"X-HR-Min-Seq": str(seq)})
        return [event["actor"] for event in answer.json()["events"]]


@pytest.fixture(scope="module")
def doors(rail, web, agent, admin):
    with postgres(rail) as connection:
        yield Doors(web, agent, admin, connection)


async def round_trip(doors, door, body, escape_every):
    expected = complete(body)
    source = body["metadata"]["source_agent"]["id"]
    claimer = body["metadata"]["target_agent"]["id"]

    packet, seq = await doors.create(door, body, lambda char: ord(char) % escape_every == 1)
    if expected["metadata"]["created_at"] is None:
        expected["metadata"]["created_at"] = packet["created_at"]
    assert as_sent(packet) == expected
    for place, found in (await doors.read(packet["id"], seq)).items():
        assert found == packet, place
    if source and "\x00" not in source:
        assert await doors.is_listed(packet["id"], seq, source)

    # Another change reads it and writes it again.
    taken = {"packet_id": packet["id"], "agent_id": claimer, "agent_name": "\x00"}
    answer = await doors.agent.json("packet.claim", write(taken).encode())
    assert answer.status == 200, answer
    expected["metadata"]["target_agent"] = {"id": claimer, "name": "\x00", "framework": None}
    for place, found in (await doors.read(packet["id"], answer.seq)).items():
        # A record cannot know its own sequence, so the generation is for readers only.
        if place not in ("stream", "table of packets"):
            assert found["claim"]["generation"] == answer.seq, place
        assert as_sent(found) == expected, place
    assert await doors.actors(packet["id"], answer.seq) == ["agent:" + source, "agent:" + claimer]


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,  # the same in every run; a failure found otherwise becomes an @example
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(["rest", "json", "protobuf"]), bodies, st.integers(1, 9))
def test_a_packet_comes_back_as_it_was_sent(loop, doors, door, body, escape_every):
    loop.run(round_trip(doors, door, body, escape_every))


@pytest.mark.parametrize("door", ["rest", "json", "protobuf"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_digits(loop, doors, door, number):
    custom = Raw('{"n":' + number + ', "z" : [' + number + '],"a":"\\u0000","a":"\\/"}')
    body = {
        "metadata": {
            "source_agent": {"id": "a", "name": "A"},
            "target_agent": {"id": "b", "name": "B"},
        },
        "context": {"summary": "", "custom": custom},
    }
    loop.run(round_trip(doors, door, body, 1))


@pytest.mark.parametrize("door", ["rest", "json"])
@pytest.mark.parametrize("levels", [DEPTH_MAX, DEPTH_MAX + 1])
def test_the_limit_of_depth_is_where_it_is_said_to_be(loop, doors, door, levels):
    custom = nested(levels - LEVEL_OF_CUSTOM + 1)
    body = {
        "metadata": {
            "source_agent": {"id": "a", "name": "A"},
            "target_agent": {"id": "b", "name": "B"},
        },
        "context": {"summary": "deep", "custom": custom},
    }

    async def create():
        text = write(body).encode()
        if door == "rest":
            return (await doors.web.post(PACKETS, text)).status
        return (await doors.agent.json("packet.create", text)).status

    assert loop.run(create()) == (422 if levels > DEPTH_MAX else 201 if door == "rest" else 200)
