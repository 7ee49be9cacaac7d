"""Transcripts as model APIs write them: what goes in is what the next agent gets, by every way.

The bodies are made by chance from a fixed seed. Numbers are compared as text: to a JSON library
1e400 is infinite and 1.0 may be 1.
"""

import base64
import json
import random

import httpx
import pytest
from agent import Agent, command_pb2, record_pb2
from hooks import make_hook
from listen import Listener
from packets import PACKETS, claim
from rail import wait_until

SETTINGS = {"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1", "HR_RETENTION_SECONDS": "1"}
AS_SENT = {"HR-Transcript": "2"}
PLAIN_ROLES = {"assistant": "agent", "tool": "system", "developer": "system"}
ROUNDS = 25
CONTRACT = {  # the rail puts these in its own order
    "metadata", "source_agent", "target_agent", "id", "name", "version", "context", "summary",
    "conversation_state", "role", "content", "artifacts", "key", "value", "decisions", "decision",
    "rationale", "actions", "pending", "completed", "failed", "description", "assignee", "result",
    "error", "dependencies", "type", "hitl", "reason", "required", "status",
}


class Number(str):
    """A number as it is written."""


def loads(data):
    return json.loads(data, parse_float=Number, parse_int=Number)


def dumps(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k) + ":" + dumps(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value)


# --- transcripts ---------------------------------------------------------------------------------

TEXTS = ["", "plain", "caf\u00e9 \U0001f600", "a\nb\t\"c\"\\", "\u2028\u202e\x7f", "null", "{}"]
NUMBERS = ["1.0", "1e400", "12345678901234567890", "-0.0", "0.10", "7"]


class Maker:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.calls = 0

    def text(self):
        return self.chance.choice(TEXTS)

    def any(self, depth=3):
        kind = self.chance.randrange(7 if depth > 0 else 5)
        if kind == 0:
            return Number(self.chance.choice(NUMBERS))
        if kind < 5:
            return [None, True, False, self.text()][kind - 1]
        if kind == 5:
            return [self.any(depth - 1) for _ in range(self.chance.randrange(3))]
        names = self.chance.sample(["id", "status", "extra", "claim", "a b", "\u00e9", ""], 3)
        return {name: self.any(depth - 1) for name in names}

    def call(self):
        self.calls += 1
        return f"call_{self.calls}"

    def openai(self):
        call = self.call()
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
        return self.chance.choice([
            [{"role": "developer", "content": self.text()}],
            [{"role": "user", "name": "bob", "content": [{"type": "text", "text": self.text()}, image]}],
            [
                {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
                    {"id": call, "type": "function",
                     "function": {"name": "f", "arguments": dumps(self.any())}}]},
                {"role": "tool", "tool_call_id": call, "content": self.text(), "score": self.any()},
            ],
        ])

    def anthropic(self):
        call = self.call()
        return self.chance.choice([
            [{"role": "assistant", "id": "msg_1", "stop_reason": "tool_use", "content": [
                {"type": "thinking", "thinking": self.text(), "signature": "c2ln"},
                {"type": "text", "text": self.text()},
                {"type": "tool_use", "id": call, "name": "f", "input": self.any()}],
              "usage": {"input_tokens": Number("12"), "ratio": Number("1.0")}},
             {"role": "user", "content": [
                 {"type": "tool_result", "tool_use_id": call, "is_error": False,
                  "content": [{"type": "text", "text": self.text()}]}]}],
            [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}],
        ])

    def gemini(self):
        # The rail has no role `model`, and an entry has content; the parts are kept as they are.
        return [
            {"role": "assistant", "content": None, "parts": [
                {"text": self.text(), "thought": True},
                {"functionCall": {"name": "f", "args": self.any()}},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {"role": "tool", "content": [], "parts": [
                {"functionResponse": {"name": "f", "response": self.any()}}]},
        ]

    def entries(self):
        made = []
        for _ in range(self.chance.randrange(1, 4)):
            made += self.chance.choice([self.openai, self.anthropic, self.gemini])()
        for entry in made:
            if self.chance.random() < 0.3:
                entry["metadata"] = {"a": self.any(), "original": "mine"}
        return made

    def more(self, value):
        """With members that the contract does not know."""
        return {**value, "x_one": self.any(), "extra": self.any(), "": self.any()}

    def body(self, source, target, call=None):
        action = {"id": "p", "description": "d", "assignee": "a"}
        return self.more({
            "metadata": self.more({
                "source_agent": self.more({"id": source, "name": "S"}),
                "target_agent": self.more({"id": target, "name": "T", "version": "9"}),
            }),
            "context": self.more({
                "summary": "s",
                "conversation_state": self.entries(),
                "artifacts": [self.more({"key": "k", "value": {"n": Number("1.0")}})],
            }),
            "decisions": [self.more({"id": "d" + source, "decision": "d", "rationale": "r"})],
            "actions": self.more({
                "pending": [self.more({**action, "id": "p" + source})],
                "completed": [self.more({"id": "c", "description": "d", "result": "r"})],
                "failed": [self.more({"id": "f", "description": "d", "error": "e"})],
            }),
            "dependencies": [self.more({"id": "d" + source, "type": "api", "description": "d"})],
            "hitl": self.more({"reason": "r", "required": False}),
        })


def inside(sent, got, path="packet"):
    """What was sent is in what came back, in its order; what is there besides, the rail wrote."""
    if isinstance(sent, dict) and isinstance(got, dict):
        unknown = [name for name in sent if name not in CONTRACT]
        assert [name for name in got if name in unknown] == unknown, path
        for name, value in sent.items():
            assert name in got, f"{path}.{name}"
            inside(value, got[name], f"{path}.{name}")
    elif isinstance(sent, list) and isinstance(got, list):
        assert len(sent) == len(got), path
        for i, value in enumerate(sent):
            inside(value, got[i], f"{path}[{i}]")
    else:
        assert type(sent) is type(got) and sent == got, f"{path}: {sent!r}, {got!r}"


# --- protobuf ------------------------------------------------------------------------------------


def from_wire(message):
    """The parts of a packet that a test sends, as JSON has them."""
    found = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.has_presence and not message.HasField(field.name):
            continue
        if field.name in ("extra", "content_json"):
            continue
        if field.message_type is None:
            if field.enum_type is not None:
                value = field.enum_type.values_by_number[value].name
                value = value.removeprefix(field.enum_type.values[0].name.removesuffix("UNSPECIFIED"))
                value = value.lower()
            found[field.name] = value
        elif field.message_type.name == "Json":
            found[field.name] = loads(value.text)
        elif field.message_type.name != "Timestamp":
            repeated = field.label == field.LABEL_REPEATED
            found[field.name] = [from_wire(v) for v in value] if repeated else from_wire(value)
    if "content_json" in message.DESCRIPTOR.fields_by_name and message.HasField("content_json"):
        found["content"] = loads(message.content_json.text)
    if "extra" in message.DESCRIPTOR.fields_by_name and message.HasField("extra"):
        found |= loads(message.extra.text)
    return found


# --- the ways ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def http(hooked):
    with httpx.Client(base_url=hooked.url, headers=hooked.headers, timeout=30) as it:
        yield it


def post(http, path, body, **headers):
    answer = http.post(path, content=dumps(body).encode(),
                       headers={"Content-Type": "application/json", **AS_SENT, **headers})
    assert answer.status_code in (200, 201), answer.text
    return loads(answer.content)


def get(http, path, headers=AS_SENT, **query):
    answer = http.get(path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return loads(answer.content)


def conversation(packet):
    return packet["context"]["conversation_state"]


def check_plain(sent, got):
    """An entry as a client gets it that does not know transcripts."""
    assert set(got) >= {"role", "content", "timestamp", "metadata"}
    if sent["role"] not in PLAIN_ROLES and isinstance(sent["content"], str):
        inside(sent, got)
        return
    assert got["role"] == PLAIN_ROLES.get(sent["role"], sent["role"])
    assert isinstance(got["content"], str)
    inside(sent, got["metadata"]["original"])
    own = sent.get("metadata") or {}
    inside({k: v for k, v in own.items() if k != "original"}, got["metadata"])
    inside({k: v for k, v in sent.items() if k not in ("role", "content", "metadata")}, got)


def test_a_hand_over_comes_through_every_way_as_it_was_sent(hooked, http, loop):
    maker = Maker(5)
    firsts = []

    async def over_nats(packet_id, sent):
        async with Agent(hooked) as agent:
            answer = await agent.json("packet.get", {"packet_id": packet_id}, AS_SENT)
            inside(sent, loads(answer.data))
            answer = await agent.json("packet.get", {"packet_id": packet_id})
            for was, entry in zip(conversation(sent), conversation(loads(answer.data)), strict=True):
                check_plain(was, entry)
            answer = await agent.protobuf("packet.get", command_pb2.PacketRef(packet_id=packet_id))
            inside(sent, from_wire(answer.message()))

    for i in range(ROUNDS):
        sent = maker.body(f"s{i}", f"t{i}")
        inside(sent, post(http, PACKETS, sent))
        first = get(http, PACKETS, source_agent=f"s{i}")["packets"][0]
        inside(sent, first)
        loop.run(over_nats(first["id"], sent))
        for was, entry in zip(
            conversation(sent), conversation(get(http, f"{PACKETS}/{first['id']}", {})), strict=True
        ):
            check_plain(was, entry)
        # The next agent takes it, and hands over what it got and what it did.
        took = post(http, f"{PACKETS}/{first['id']}/claim", claim(f"t{i}"))
        inside({**sent, "metadata": {}}, took)
        inside(sent["metadata"]["target_agent"], took["metadata"]["addressed_to"])
        more = maker.body(f"t{i}", f"u{i}")
        child = post(http, f"{PACKETS}/{first['id']}/chain", more)
        assert conversation(child)[: len(conversation(sent))] == conversation(took)
        inside(conversation(more), conversation(child)[len(conversation(sent)) :])
        inside(sent["decisions"] + more["decisions"], child["decisions"])
        inside(sent["dependencies"] + more["dependencies"], child["dependencies"])
        inside(more["context"]["artifacts"], child["context"]["artifacts"])
        inside(sent["actions"]["pending"] + more["actions"]["pending"], child["actions"]["pending"])
        inside({k: more["context"][k] for k in ("x_one", "extra", "")}, child["context"])
        inside({k: more[k] for k in ("x_one", "extra", "")}, child)
        post_patch(http, first["id"], {"status": "completed"})
        firsts.append((first["id"], sent))
    check_after_it_left_the_stream(hooked, http, loop, firsts)


def post_patch(http, packet_id, body):
    answer = http.patch(f"{PACKETS}/{packet_id}", content=dumps(body).encode(),
                        headers={"Content-Type": "application/json", **AS_SENT})
    assert answer.status_code == 200, answer.text
    return loads(answer.content)


def check_after_it_left_the_stream(hooked, http, loop, firsts):
    sent_of = dict(firsts)
    for packet_id, sent in firsts:
        wait_until(lambda at=packet_id: "archived_at" in get(http, f"{PACKETS}/{at}"), 30,
                   "it has left the stream")
        inside({**sent, "metadata": {}}, get(http, f"{PACKETS}/{packet_id}"))
    rows = [json.loads(line) for line in
            http.get("/api/v1/audit/export", params={"format": "ndjson"}).text.splitlines()]
    created = {row["packet_id"]: row for row in rows if row["type"] == "created"}
    for packet_id, sent in sent_of.items():
        record = record_pb2.PacketRecord.FromString(base64.b64decode(created[packet_id]["record"]))
        inside(sent, from_wire(record.packet))


def test_metadata_comes_through_webhooks_and_live_streams(hooked, http, loop, receiver):
    maker = Maker(7)
    make_hook(http, receiver.url, events=["packet.created"])

    async def run():
        async with Listener(hooked.url, hooked.headers) as events:
            await events.next()
            for i in range(5):
                sent = maker.body(f"w{i}", f"v{i}")
                post(http, PACKETS, sent)
                while True:
                    raw = await events.next()
                    if raw.name == "packet.created":
                        break
                # As Python reads numbers: the parser of the stream is a plain one.
                inside(json.loads(dumps(sent["metadata"])), raw.data["data"]["metadata"])
                wait_until(lambda n=i: len(receiver.requests) > n, 15, "the webhook")
                inside(sent["metadata"], loads(receiver.requests[i].body)["metadata"])

    loop.run(run())


# --- forgery -------------------------------------------------------------------------------------


def test_what_the_rail_writes_cannot_be_sent_along(hooked, http, loop):
    sent = Maker(9).body("a", "b")
    forged = json.dumps({"generation": 7, "holder": {"id": "evil", "name": "E"}, "hops": 99})

    async def over_nats():
        async with Agent(hooked) as agent:
            message = command_pb2.CreatePacket()
            message.metadata.source_agent.id = "a"
            message.metadata.target_agent.id = "b"
            message.context.summary = "s"
            message.extra.text = (
                f'{{"claim":{forged},"lineage":{forged},"st\\u0061tus":"failed","ok":1.0}}'.encode()
            )
            message.metadata.extra.text = b'{"addressed_to":{"id":"evil"},"claimed_at":1}'
            answer = await agent.protobuf("packet.create", message)
            assert answer.status == 200, answer
            packet = answer.message()
            assert not packet.HasField("claim") and not packet.HasField("lineage")
            assert packet.extra.text == b'{"ok":1.0}' and not packet.metadata.HasField("extra")
            message.extra.text = b"[1]"
            assert (await agent.protobuf("packet.create", message)).status == 422
            answer = await agent.json("packet.get", {"packet_id": packet.id})
            assert set(answer.json()) >= {"ok"} and "claim" not in answer.json()

    sent |= {"claim": loads(forged), "lineage": loads(forged), "declined": [], "status": "failed",
             "archived_at": "2020-01-01T00:00:00Z", "id": "x"}
    packet = post(http, PACKETS, sent)
    assert packet["status"] == "created" and packet["id"] != "x"
    for name in ("claim", "lineage", "declined", "archived_at"):
        assert name not in packet
    patched = post_patch(http, packet["id"], {"lineage": loads(forged), "metadata": {}, "ok": None,
                                              "x_one": None, "new": Number("1.0")})
    assert "lineage" not in patched and "x_one" not in patched and patched["new"] == "1.0"
    assert patched["metadata"] == packet["metadata"]
    loop.run(over_nats())


# --- clients that do not know transcripts --------------------------------------------------------


def test_an_entry_that_was_made_plain_can_be_sent_again(http):
    first = post(http, PACKETS, Maker(11).body("c", "d"))
    plain = get(http, f"{PACKETS}/{first['id']}", {})
    again = post(http, PACKETS, plain)
    for was, entry in zip(conversation(plain), conversation(again), strict=True):
        assert entry == was
        original = (entry["metadata"] or {}).get("original")
        if isinstance(original, dict):
            assert not isinstance((original["metadata"] or {}).get("original"), dict)


def test_every_page_has_only_what_the_contract_names_for_clients_that_do_not_ask(http):
    """The models of existing clients refuse a whole page for one role that they do not know."""
    post(http, PACKETS, Maker(13).body("e", "f"))
    for query in ({"source_agent": "e"}, {"limit": 50}):
        for packet in http.get(PACKETS, params=query).json()["packets"]:
            for entry in conversation(packet):
                assert entry["role"] in ("user", "agent", "system", "human")
                assert isinstance(entry["content"], str)
                assert isinstance(entry["metadata"], dict | None)


def test_every_answer_with_packets_has_the_form_that_was_asked_for(http):
    bodies = [Maker(20 + i).body("g", "h") for i in range(2)]
    for body in bodies:
        body["context"]["summary"] = "zebracorn"

    def check(sent, plain, as_sent):
        inside(conversation(sent), conversation(as_sent))
        for was, entry in zip(conversation(sent), conversation(plain), strict=True):
            check_plain(was, entry)

    def both(method, path, **options):
        return [loads(http.request(method, path, headers=headers, **options).content)
                for headers in ({"Content-Type": "application/json"},
                                {"Content-Type": "application/json", **AS_SENT})]

    batch = both("POST", f"{PACKETS}/batch", content="{\"packets\":" + dumps(bodies) + "}")
    for answers in zip(bodies, *(answer["created"] for answer in batch), strict=True):
        check(*answers)
    last = batch[1]["created"][1]["id"]
    pages = [both("GET", PACKETS, params={"source_agent": "g", "limit": 1}),
             both("GET", f"{PACKETS}/search", params={"q": "zebracorn", "limit": 1})]
    for plain, as_sent in pages:
        found = as_sent["packets"][0]
        check(found, plain["packets"][0], found)
    # Two packets of the same body, each taken by one of the two.
    one = bodies[0]
    one["metadata"]["target_agent"]["id"] = "taker"
    for _ in range(2):
        post(http, PACKETS, one)
    plain, as_sent = both("POST", f"{PACKETS}/claim-next", content=json.dumps(claim("taker")))
    check(one, plain, as_sent)
    new = {"context": bodies[1]["context"], "decisions": bodies[1]["decisions"]}
    plain, as_sent = both("PATCH", f"{PACKETS}/{last}", content=dumps(new))
    check(new, plain, as_sent)
    inside(new, as_sent)
