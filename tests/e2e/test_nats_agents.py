"""Agents directly on NATS: what they can do, and what they cannot make a worker do."""

import asyncio
import json
import secrets
import time
import uuid

import pytest
from agent import JSON, STREAM, Agent, command_pb2, packet_pb2, record_pb2
from config import put_key
from packets import PACKETS, body, claim
from rail import Rail, wait_until
from web import Web

NOWHERE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def run(loop):
    return loop.run


def new_key():
    return uuid.uuid4().hex


# --- work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "as_json"),
    [
        ({"Content-Type": JSON}, True),
        ({"Content-Type": "Application/JSON"}, True),
        ({"Content-Type": "APPLICATION/JSON; charset=utf-8"}, True),
        ({"Content-Type": "application/json ;charset=utf-8"}, True),
        ({"Content-Type": "application/jsonl"}, False),
        ({"Content-Type": "application/protobuf"}, False),
        ({"content-type": JSON}, True),  # names of NATS headers know case: read by its brace
        ({}, True),
    ],
)
def test_json_is_recognised(run, agent, headers, as_json):
    answer = run(agent.send("packet.list", b'{"limit":1}', headers))
    if as_json:
        assert answer.status == 200 and len(answer.json()["packets"]) <= 1
    else:
        assert answer.status == 400 and answer.message().code


def test_protobuf_needs_no_header(run, agent):
    answer = run(agent.send("packet.list", command_pb2.ListPackets(limit=1).SerializeToString()))
    assert answer.status == 200 and len(answer.message().packets) <= 1
    refused = run(agent.send("packet.list", b'{"limit":'))
    assert refused.status == 422 and b"json_invalid" in refused.data and refused.json()


def test_a_life_in_json(run, agent):
    made = run(agent.json("packet.create", body("over NATS")))
    packet = made.json()
    assert (made.status, packet["status"]) == (200, "created")
    ref = {"packet_id": packet["id"]}

    taken = run(agent.json("packet.claim", {**ref, **claim("coder")}))
    assert (taken.status, taken.json()["status"]) == (200, "claimed")
    assert taken.json()["claim"]["generation"] == taken.seq > made.seq
    begun = run(agent.json("packet.update", {**ref, "status": "in_progress"}))
    done = run(
        agent.json(
            "packet.update",
            {
                **ref,
                "status": "completed",
                "actions": {"completed": [{"id": "1", "description": "x", "result": "y"}]},
            },
        )
    )
    assert (done.status, done.json()["status"]) == (200, "completed")
    assert done.json()["actions"]["completed"][0]["result"] == "y"
    assert run(agent.json("packet.get", ref)).json() == done.json()

    history = run(agent.json("packet.history", ref, {"HR-Min-Seq": str(done.seq)})).json()
    rows = [
        (row["event_type"], row["actor"], row["key_id"], row["sequence"])
        for row in history["events"]
    ]
    assert rows == [
        ("created", "agent:planner", "agent", made.seq),
        ("claimed", "agent:coder", "agent", taken.seq),
        ("in_progress", "agent:coder", "agent", begun.seq),
        ("completed", "agent:coder", "agent", done.seq),
    ]


def test_a_life_in_protobuf(run, agent):
    request = command_pb2.CreatePacket(
        metadata={
            "source_agent": {"id": "a", "name": "A"},
            "target_agent": {"id": "b", "name": "B"},
        },
        context={"summary": "s", "custom": {"text": b'{ "n": 1.10 }'}},
    )
    made = run(agent.protobuf("packet.create", request))
    packet = made.message()
    assert packet.status == packet_pb2.STATUS_CREATED
    assert packet.context.custom.text == b'{ "n": 1.10 }'
    ref = {"packet_id": packet.id}
    taken = run(agent.protobuf("packet.claim", command_pb2.ClaimPacket(**ref, **claim("b"))))
    assert taken.message().claim.generation == taken.seq
    done = run(
        agent.protobuf(
            "packet.update",
            command_pb2.UpdatePacket(**ref, status=packet_pb2.STATUS_COMPLETED),
        )
    )
    assert done.message().status == packet_pb2.STATUS_COMPLETED
    gone = run(agent.protobuf("packet.delete", command_pb2.PacketRef(**ref)))
    assert gone.message().status == packet_pb2.STATUS_EXPIRED


def test_a_packet_may_be_large_but_not_so_large_that_it_cannot_be_claimed(run):
    async def work(rail):
        async with Agent(rail) as agent:
            packet = body("a large one")
            packet["context"]["custom"] = {"blob": "x" * 6_900_000}
            made = await agent.json("packet.create", packet)
            assert made.status == 200
            taking = {"packet_id": made.json()["id"], **claim("coder")}
            taken = await agent.json("packet.claim", taking)
            assert (taken.status, taken.json()["status"]) == (200, "claimed")
            assert taken.json()["context"]["custom"] == packet["context"]["custom"]

            packet["context"]["custom"] = {"blob": "x" * 7_600_000}
            refused = await agent.json("packet.create", packet)
            assert (refused.status, refused.json()["code"]) == (413, "too_large")

    with Rail(env={"HR_MAX_BODY_BYTES": "7340032"}) as rail:
        run(work(rail))


def test_a_command_may_be_as_long_as_a_request_over_rest(run, agent):
    packet = body("a large one")
    packet["context"]["custom"] = {"blob": "x" * 1_000_000}
    assert run(agent.json("packet.create", packet)).status == 200
    packet["context"]["custom"] = {"blob": "x" * 1_200_000}
    refused = run(agent.json("packet.create", packet))
    assert (refused.status, refused.json()["code"]) == (413, "too_large")


def test_lists_and_the_audit_log_are_read_over_nats(run, agent):
    tag = new_key()
    seqs = []
    for i in range(3):
        sent = body(f"listed {i}")
        sent["metadata"]["tags"] = [tag]
        seqs.append(run(agent.json("packet.create", sent)).seq)
    seen = {"HR-Min-Seq": str(seqs[-1])}
    page = run(agent.json("packet.list", {"tags": tag, "limit": 2}, seen)).json()
    assert (page["total"], page["limit"], len(page["packets"])) == (3, 2, 2)
    rest = run(agent.json("packet.list", {"tags": tag, "cursor": page["next_cursor"]}, seen)).json()
    found = page["packets"] + rest["packets"]
    assert [p["context"]["summary"] for p in found] == ["listed 2", "listed 1", "listed 0"]
    log = run(agent.json("audit.list", {"limit": 3}, seen)).json()
    assert [entry["sequence"] for entry in log["entries"]] == seqs[::-1]
    assert run(agent.json("audit.wait", {}, seen)).status == 200


def test_events_come_by_subscription(run, agent):
    async def follow():
        subscription = await agent.nats.subscribe("hr.v1.event.default.*")
        made = await agent.json("packet.create", body("watched"))
        ref = {"packet_id": made.json()["id"]}
        taken = await agent.json("packet.claim", {**ref, **claim("coder")})
        done = await agent.json("packet.update", {**ref, "status": "completed"})
        seen = []
        while len(seen) < 3:
            message = await subscription.next_msg(timeout=5)
            if message.subject.endswith(ref["packet_id"]):
                record = record_pb2.PacketRecord.FromString(message.data)
                seen.append((record, int(message.headers["Nats-Sequence"])))
        await subscription.unsubscribe()
        return ref["packet_id"], [made, taken, done], seen

    packet_id, answers, seen = run(follow())
    assert [record.event.type for record, _ in seen] == ["created", "claimed", "completed"]
    assert [seq for _, seq in seen] == [answer.seq for answer in answers]
    assert {record.packet.id for record, _ in seen} == {packet_id}
    assert [record.event.key_id for record, _ in seen] == ["agent"] * 3
    assert [record.packet.status for record, _ in seen] == [
        packet_pb2.STATUS_CREATED,
        packet_pb2.STATUS_CLAIMED,
        packet_pb2.STATUS_COMPLETED,
    ]


def test_errors_say_what_http_would(run, agent):
    def refused(verb, sent, headers=None):
        answer = run(agent.json("packet." + verb, sent, headers))
        assert answer.headers["Nats-Service-Error-Code"] == str(answer.status)
        assert answer.headers["Nats-Service-Error"] == answer.json()["code"]
        return answer.status, answer.json()["code"]

    packet_id = run(agent.json("packet.create", body())).json()["id"]
    ref = {"packet_id": packet_id}
    assert refused("get", {"packet_id": NOWHERE}) == (404, "not_found")
    assert refused("claim", {"packet_id": NOWHERE, **claim()}) == (404, "not_found")
    assert refused("update", ref, {"HR-If-Match": "1"}) == (412, "precondition_failed")
    assert refused("update", {**ref, "status": "completed"}) == (400, "illegal_transition")
    assert run(agent.json("packet.claim", {**ref, **claim("one")})).status == 200
    assert refused("claim", {**ref, **claim("two")}) == (409, "already_claimed")
    assert run(agent.json("packet.delete", ref)).status == 200
    assert refused("claim", {**ref, **claim("two")}) == (410, "expired")
    assert refused("delete", ref) == (409, "already_expired")
    assert refused("create", {}) == (422, "validation_error")
    assert refused("list", {"cursor": "x"}) == (400, "invalid_cursor")


def test_a_repeat_finds_what_was_done(run, agent, web):
    key = {"Idempotency-Key": new_key()}
    made = run(agent.json("packet.create", body("once"), key))
    packet_id = made.json()["id"]
    taking = {"packet_id": packet_id, **claim("one")}
    take_key = {"Idempotency-Key": new_key()}
    taken = run(agent.json("packet.claim", taking, take_key))
    run(agent.json("packet.update", {"packet_id": packet_id, "status": "completed"}))

    again = run(agent.json("packet.create", body("once"), key))
    assert (again.seq, again.data) == (made.seq, made.data)
    over_rest = run(web.post(PACKETS, body("once"), key))
    assert over_rest.status == 201 and over_rest.body == made.data
    assert over_rest.headers["x-hr-seq"] == str(made.seq)
    again = run(agent.json("packet.claim", taking, take_key))
    assert (again.seq, again.data) == (taken.seq, taken.data)
    other = run(agent.json("packet.create", body("twice"), key))
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
    other = run(agent.json("packet.claim", {**taking, **claim("two")}, take_key))
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")


def test_the_fleet_can_be_discovered(run, admin):
    async def ask(what):
        inbox = admin.nats.new_inbox()
        subscription = await admin.nats.subscribe(inbox)
        await admin.nats.publish("$SRV." + what, b"", reply=inbox)
        found = {}
        try:
            async with asyncio.timeout(5):
                while not {"packet", "claim", "query", "audit"} <= set(found):
                    message = await subscription.next_msg(timeout=5)
                    answer = json.loads(message.data)
                    found[answer["name"]] = answer
        finally:
            await subscription.unsubscribe()
        return found

    for what, kind in [
        ("PING", "io.nats.micro.v1.ping_response"),
        ("INFO", "io.nats.micro.v1.info_response"),
        ("STATS", "io.nats.micro.v1.stats_response"),
    ]:
        for name, answer in run(ask(what)).items():
            assert answer["type"] == kind, name
            assert answer["id"] and answer["version"]


# --- what an agent cannot do ---------------------------------------------------------------------


@pytest.fixture
def stream_is_unchanged(run, admin):
    def state():
        info = run(admin.api("STREAM.INFO." + STREAM))
        return info["created"], info["state"]["messages"], info["state"]["last_seq"]

    before = state()
    yield
    assert state() == before


EVIL_REPLIES = [
    f"hr.v1.packet.0.default.{NOWHERE}",
    f"hr.v1.packet.0.other.{NOWHERE}",
    f"hr.v1.event.default.{NOWHERE}",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    "$JS.API.STREAM.DELETE.KV_HR_KEYS",
    f"$JS.API.CONSUMER.DELETE.{STREAM}.audit",
    "$KV.HR_KEYS." + "0" * 64,
    "hr.v1.cmd.default.admin.packet.create",
    "hr.v1.cmd.other.agent.packet.create",
    "_INBOX.gateway.stolen.1",
    "_INBOX.agents.stolen",
    "_INBOX.agen.stolen",
    "_INBOX.agent",
    "_INBOX.agent.",
    "_INBOX.agent.>",
    "_INBOX.agent.*",
    "_INBOX.*.stolen",
    "_INBOX.>",
    ">",
    "_inbox.agent.stolen",
    "x_INBOX.agent.stolen",
]


BARRIER = 9  # answers to the well-behaved commands behind the others


def commands():
    """One that succeeds, one that is refused, one that every worker knows; and none of ours."""
    evil = command_pb2.CreatePacket(
        metadata={
            "source_agent": {"id": "evil", "name": "E"},
            "target_agent": {"id": "b", "name": "B"},
        },
        context={"summary": "injected"},
    )
    return [
        ("packet.create", evil.SerializeToString(), {}),
        ("packet.create", json.dumps(body("injected")).encode(), {"Content-Type": JSON}),
        ("packet.create", b"{", {"Content-Type": JSON}),
        ("packet.get", b"\xff", {}),
        ("packet.list", b"{}", {"Content-Type": JSON}),
        ("packet.claim", b"{}", {"Content-Type": JSON}),
        ("audit.wait", b"{}", {"Content-Type": JSON}),
        ("packet.ping", b"", {}),
        ("claim.ping", b"", {}),
        ("audit.ping", b"", {}),
        ("query.ping", b"", {}),
    ]


@pytest.mark.parametrize("reply", EVIL_REPLIES)
def test_a_reply_elsewhere_is_not_sent_and_nothing_done(
    run, agent, admin, stream_is_unchanged, reply
):
    async def attack():
        heard = []

        async def hear(message):
            heard.append((message.subject, message.reply))

        everything = await admin.nats.subscribe(">", cb=hear)
        await admin.last_seq()  # answered behind it; the client's flush may overtake it
        for verb, data, headers in commands():
            await agent.nats.publish(agent.subject(verb), data, reply=reply, headers=headers)
        # Workers take commands in turn: what was sent before these has been judged.
        for verb in ("packet.create", "packet.get", "packet.list", "packet.claim", "audit.wait"):
            await agent.send(verb, b"\xff")
        for name in ("packet", "claim", "audit", "query"):
            await agent.nats.request(agent.subject(name + ".ping"), b"", timeout=5)
        deadline = time.monotonic() + 5  # what was received is handed on a little later
        while len(sent_to(heard)) < len(commands()) or len(answered(heard)) < BARRIER:
            assert time.monotonic() < deadline, (len(sent_to(heard)), answered(heard))
            await asyncio.sleep(0.005)
        await everything.unsubscribe()
        return heard

    def sent_to(heard):
        mine = "hr.v1.cmd.default.agent."
        return [to for subject, to in heard if subject.startswith(mine) and to == reply]

    def answered(heard):
        return [subject for subject, _ in heard if subject.startswith("_INBOX.agent.")]

    heard = run(attack())
    assert len(answered(heard)) == BARRIER
    elsewhere = {
        subject
        for subject, _ in heard
        if not subject.startswith(("hr.v1.cmd.default.agent.", "_INBOX.agent."))
    }
    # Meanwhile the fleet talks to its servers and among itself, and to nobody else.
    among_itself = ("hr.v1.delivery.members", "hr.v1.audit.head.", "$KV.HR_OWNERS.")
    elsewhere = {subject for subject in elsewhere if not subject.startswith(among_itself)}
    assert reply not in elsewhere
    assert not any(subject.startswith(("hr.v1.", "$KV.")) for subject in elsewhere)
    assert not any("DELETE" in subject or "PURGE" in subject for subject in elsewhere)


def test_an_acknowledgement_cannot_be_asked_for(run, agent, admin, stream_is_unchanged):
    """The server itself keeps such a reply from everybody."""

    async def attack():
        subscription = await admin.nats.subscribe("hr.v1.cmd.>")
        await admin.last_seq()
        reply = f"$JS.ACK.{STREAM}.audit.1.1.1.1.1"
        await agent.nats.publish(agent.subject("packet.create"), b"", reply=reply)
        await agent.send("packet.create", b"\xff")
        message = await subscription.next_msg(timeout=5)
        await subscription.unsubscribe()
        return message.reply

    assert run(attack()).startswith("_INBOX.agent.")


def test_without_a_reply_nothing_is_done(run, agent, stream_is_unchanged):
    async def send():
        data = json.dumps(body("nobody waits")).encode()
        await agent.nats.publish(
            agent.subject("packet.create"), data, headers={"Content-Type": JSON}
        )
        await agent.send("packet.create", b"\xff")

    run(send())


@pytest.mark.parametrize(
    "subject",
    [
        f"hr.v1.packet.0.default.{NOWHERE}",
        f"hr.v1.event.default.{NOWHERE}",
        f"$JS.API.STREAM.DELETE.{STREAM}",
        f"$JS.API.STREAM.MSG.GET.{STREAM}",
        f"$JS.API.DIRECT.GET.{STREAM}.hr.v1.packet.0.default.{NOWHERE}",
        "$KV.HR_KEYS." + "0" * 64,
        "hr.v1.cmd.default.admin.packet.create",
        "hr.v1.cmd.default.bootstrap.packet.create",
        "hr.v1.cmd.other.agent.packet.create",
    ],
)
def test_what_is_not_an_agents_is_refused_by_the_server(
    run, agent, stream_is_unchanged, subject
):
    async def send():
        agent.refused.clear()
        data = json.dumps(body("not mine")).encode()
        await agent.nats.publish(
            subject, data, reply=agent.nats.new_inbox(), headers={"Content-Type": JSON}
        )
        await agent.nats.flush()

    run(send())

    def refused():
        run(asyncio.sleep(0.01))
        return [text for text in agent.refused if "permissions violation" in text.lower()]

    assert subject.lower() in wait_until(refused, 5, "the server refuses")[0]


def test_an_agent_cannot_answer_a_request_of_another_key(run, rail, agent, admin):
    """A key of HR_KEYS with the agent's own id shows the agent how the gateway names its requests;
    a worker may be told to answer to any name in the agent's inbox. None of that may reach a
    request that another key is waiting with."""
    key = new_key()

    async def attack():
        await put_key(admin, key, agent.key, "default", "agent")
        seen = []

        async def note(message):
            seen.append(message.subject)

        await agent.nats.subscribe(f"_INBOX.{agent.key}.>", cb=note)
        await agent.nats.flush()
        wish = {"agent_id": "nobody-" + secrets.token_hex(4), "agent_name": "N"}
        async with Web(rail.url, {"X-API-Key": key}) as own, Web(rail.url, rail.headers) as other:
            for _ in range(100):
                answer = await own.post(PACKETS + "/claim-next", wish)
                if answer.status == 204:
                    break
                await asyncio.sleep(0.02)
            assert answer.status == 204, answer
            await agent.nats.flush()
            names = {name.rsplit(".", 1)[0] for name in seen if name.count(".") == 3}
            assert names, "the gateway's name is seen"
            waiting = asyncio.ensure_future(
                other.post(PACKETS + "/claim-next", {**wish, "wait_seconds": 2})
            )
            await asyncio.sleep(0.3)
            assert not waiting.done()
            made = (await agent.json("packet.create", body())).json()["id"]
            data = json.dumps({"packet_id": made}).encode()
            for name in names:
                for generation in range(64):
                    for slot in range(16):
                        await agent.nats.publish(
                            agent.subject("packet.get"),
                            data,
                            reply=f"{name}.{generation:x}-{slot:x}",
                            headers={"Content-Type": JSON},
                        )
            await agent.nats.flush()
            answer = await waiting
            assert answer.status == 204, answer

    run(attack())
