"""Follow-up packets: what a child takes over, from which version, through which door, and how often."""

import asyncio
import json
import os
import signal

import httpx
import pytest
from agent import STREAM, Admin, chain_pb2, command_pb2, packet_pb2, record_pb2
from chains import chain, follow, get, ids, link, root, said, sha256, talk
from google.protobuf import json_format
from packets import PACKETS, body, claim
from rail import wait_until
from tenants import NOWHERE, Tenants

FULL = {
    "context": {
        "summary": "first",
        "conversation_state": said("one", "two"),
        "artifacts": [{"key": "spec", "value": "v1"}, {"key": "log", "value": [1, 2]}],
        "custom": {"a": 1, "shared": "old"},
    },
    "decisions": [
        {"id": "d1", "decision": "C", "rationale": "fast"},
        {"id": "d2", "decision": "old", "rationale": "-"},
    ],
    "actions": {
        "pending": [
            {"id": "p1", "description": "build", "assignee": "coder"},
            {"id": "p2", "description": "test", "assignee": "tester"},
            {"id": "p3", "description": "ship", "assignee": "ops"},
        ]
    },
    "dependencies": [{"id": "x1", "type": "api", "description": "search"}],
}


@pytest.fixture(scope="module")
def client(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as made:
        yield made


@pytest.fixture
def tenants(rail, loop, admin):
    made = Tenants(rail, loop, admin)
    yield made
    made.close()


# --- what is taken over --------------------------------------------------------------------------


def test_everything_is_taken_over_and_the_childs_own_wins(client):
    parent = root(client, **FULL)
    child = follow(
        client,
        parent,
        context={
            "summary": "second",
            "conversation_state": said("three"),
            "artifacts": [{"key": "spec", "value": "v2"}],
            "custom": {"shared": "new", "b": None},
        },
        decisions=[{"id": "d2", "decision": "new", "rationale": "+"}],
        actions={
            "pending": [{"id": "p3", "description": "ship it", "assignee": "ops"}],
            "completed": [{"id": "p1", "description": "build", "result": "ok"}],
        },
    )
    assert child["parent_packet_id"] == parent["id"]
    assert child["context"]["summary"] == "second"
    assert talk(child) == ["one", "two", "three"]
    assert child["context"]["custom"] == {"a": 1, "shared": "new", "b": None}
    assert [(a["key"], a["value"]) for a in child["context"]["artifacts"]] == [
        ("log", [1, 2]),
        ("spec", "v2"),
    ]
    assert [(d["id"], d["decision"]) for d in child["decisions"]] == [("d1", "C"), ("d2", "new")]
    assert ids(child["actions"]["pending"]) == ["p2", "p3"]
    assert ids(child["actions"]["completed"]) == ["p1"]
    assert ids(child["dependencies"]) == ["x1"]
    lineage = child["lineage"]
    assert lineage["assembled"] is True and "omitted" not in lineage
    assert lineage["root_id"] == parent["id"] and lineage["hops"] == 1
    assert lineage["path"] == ["planner", "coder", "tester"]
    assert get(client, child) == child
    assert get(client, parent) == parent, "the parent is not touched"


def test_every_answer_with_one_packet_holds_the_whole(client, agent, loop):
    child = follow(client, root(client, **FULL), context={"summary": "s"})

    async def over_nats():
        reply = await agent.json("packet.get", {"packet_id": child["id"]})
        binary = await agent.protobuf("packet.get", chain_pb2.GetTree(packet_id=child["id"]))
        return reply.json(), binary.message()

    in_json, in_protobuf = loop.run(over_nats())
    assert in_json == child
    assert len(in_protobuf.context.conversation_state) == 2 and in_protobuf.lineage.assembled
    claimed = client.post(f"{PACKETS}/{child['id']}/claim", json=claim("tester")).json()
    started = client.patch(f"{PACKETS}/{child['id']}", json={"status": "in_progress"}).json()
    for answer in (claimed, started, get(client, child)):
        assert talk(answer) == ["one", "two"]
        assert ids(answer["decisions"]) == ["d1", "d2"]
        assert answer["lineage"]["assembled"] is True


def test_lists_and_live_events_hold_the_packets_own_part(client, agent, loop):
    parent = root(client, **FULL)

    async def watch():
        events = await agent.nats.subscribe("hr.v1.event.default.>")
        await agent.nats.flush()
        child = await asyncio.to_thread(
            follow, client, parent, context={"summary": "s", "conversation_state": said("own")}
        )
        seen = []
        try:
            while True:
                seen.append(await events.next_msg(timeout=0.5))
        except TimeoutError:
            pass
        await events.unsubscribe()
        return child, [record_pb2.PacketRecord.FromString(message.data) for message in seen]

    child, records = loop.run(watch())
    assert talk(child) == ["one", "two", "own"]
    assert [record.packet.id for record in records] == [child["id"]], "one append"
    assert [e.content for e in records[0].packet.context.conversation_state] == ["own"]
    assert not records[0].packet.lineage.assembled
    page = client.get(PACKETS, params={"source_agent": "coder", "limit": 1}).json()
    listed = page["packets"][0]
    assert listed["id"] == child["id"] and talk(listed) == ["own"]
    assert "assembled" not in listed["lineage"]


def test_what_is_carried_can_be_chosen_and_what_was_not_stays_behind(client):
    first = root(client, **FULL)
    second = follow(
        client,
        first,
        carry=["decisions"],
        context={"summary": "s", "conversation_state": said("three"), "custom": {"c": 3}},
    )
    assert talk(second) == ["three"] and second["context"]["custom"] == {"c": 3}
    assert ids(second["decisions"]) == ["d1", "d2"]
    assert second["actions"]["pending"] == [] and second["dependencies"] == []
    third = follow(client, second, "tester", "ops")
    assert talk(third) == ["three"], "the parent itself did not carry the rest"
    assert third["context"]["custom"] == {"c": 3} and ids(third["decisions"]) == ["d1", "d2"]
    none = follow(client, first, carry=[])
    assert talk(none) == [] and none["decisions"] == []
    assert none["lineage"]["carry"] == [] and none["lineage"]["assembled"] is True


def test_free_form_texts_are_kept_byte_for_byte(client):
    def raw(context, custom):
        text = json.dumps({**link(context={"summary": "s"}), "slot": 0})
        return text.replace('"slot": 0', context).replace('{"summary": "s"}', custom).encode()

    parent = client.post(
        PACKETS, content=raw('"slot":1', '{"summary":"s","custom":{"n": 1.50e0, "o":1}}')
    ).json()
    child = client.post(
        f"{PACKETS}/{parent['id']}/chain",
        content=raw('"slot":1', '{"summary":"s","custom":{"o": 0.10,"z":"\\u0041"}}'),
    )
    assert b'"custom":{"n": 1.50e0,"o": 0.10,"z":"\\u0041"}' in child.content


# --- which version -------------------------------------------------------------------------------


def test_a_later_change_of_an_ancestor_changes_nothing(client):
    first = root(client, **FULL)
    second = follow(client, first)
    third = follow(client, second, "tester", "ops")
    for packet in (first, second):
        answer = client.patch(
            f"{PACKETS}/{packet['id']}",
            json={"context": {"summary": "x", "conversation_state": said("changed")}},
        )
        assert answer.status_code == 200
        client.delete(f"{PACKETS}/{packet['id']}")
    assert get(client, third) == third
    late = follow(client, second)
    assert talk(late) == ["changed"], "a new child is made from what is now; a parent may be expired"


def test_a_whole_context_sent_back_is_not_taken_over_twice(client):
    child = follow(client, root(client, **FULL), context={"summary": "s"})
    seen = get(client, child)
    update = {
        "context": {**seen["context"], "summary": "changed"},
        "decisions": seen["decisions"],
        "dependencies": seen["dependencies"],
        "actions": {"pending": seen["actions"]["pending"]},
    }
    answer = client.patch(f"{PACKETS}/{child['id']}", json=update).json()
    assert answer["lineage"]["carry"] == ["decisions"]
    for part in ("decisions", "dependencies", "actions"):
        assert answer[part] == seen[part]
    assert answer["context"] == update["context"]
    grandchild = follow(client, child, "tester", "ops")
    assert talk(grandchild) == ["one", "two"]
    assert grandchild["decisions"] == seen["decisions"]
    assert grandchild["context"]["custom"] == seen["context"]["custom"]


def purge(loop, admin, packet):
    """As retention does: every record of the packet leaves the stream."""
    subject = f"hr.v1.packet.0.default.{packet['id']}"
    request = json.dumps({"filter": subject}).encode()
    answer = loop.run(admin.api("STREAM.PURGE." + STREAM, request))
    assert answer["success"] and answer["purged"] > 0


def test_what_has_left_the_stream_is_read_from_postgres(client, loop, admin):
    first = root(client, **FULL)
    second = follow(client, first, context={"summary": "s", "conversation_state": said("three")})
    third = follow(client, second, "tester", "ops")
    assert client.get(f"{PACKETS}/{third['id']}/history").status_code == 200  # it is projected
    purge(loop, admin, first)
    purge(loop, admin, second)
    assert get(client, third) == third
    claimed = client.post(f"{PACKETS}/{third['id']}/claim", json=claim("ops"))
    assert claimed.status_code == 200 and talk(claimed.json()) == ["one", "two", "three"]
    part = client.get(f"{PACKETS}/{third['id']}/context", params={"from": first["id"]})
    assert sha256(part.content) == third["lineage"]["ancestors"][1]["sha256"]


def test_a_chain_goes_on_from_an_archived_packet(tenants):
    client = tenants.client("t-archive")
    first = root(client, **FULL)
    second = follow(client, first, context={"summary": "s", "conversation_state": said("three")})
    for packet, agent in ((first, "coder"), (second, "tester")):
        client.post(f"{PACKETS}/{packet['id']}/claim", json=claim(agent))
        client.patch(f"{PACKETS}/{packet['id']}", json={"status": "completed"})
    tenants.limit("t-archive", retention_seconds=1)

    async def archived(packet):
        record = await tenants.admin.last_record("t-archive", packet["id"])
        return record.event.type == "archived"

    for packet in (first, second):
        wait_until(lambda p=packet: tenants.loop.run(archived(p)), 30, "it has left the stream")
    third = follow(client, second, "tester", "ops", headers={"Idempotency-Key": "late"})
    assert talk(third) == ["one", "two", "three"] and ids(third["decisions"]) == ["d1", "d2"]
    assert get(client, third) == third
    assert chain(client, second, "tester", "ops", headers={"Idempotency-Key": "late"}).json() == third
    part = client.get(f"{PACKETS}/{second['id']}/context", params={"from": first["id"]})
    assert sha256(part.content) == second["lineage"]["ancestors"][0]["sha256"]


def test_without_stream_and_postgres_it_fails_and_is_never_shorter(make_rail, loop):
    rail = make_rail().start()
    admin = Admin(rail)
    loop.run(admin.__aenter__())
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        first = root(client, **FULL)
        child = follow(client, first)
        assert client.get(f"{PACKETS}/{child['id']}/history").status_code == 200
        purge(loop, admin, first)
        os.kill(rail.pids["hr-worker-query-1"], signal.SIGSTOP)
        answer = client.get(f"{PACKETS}/{child['id']}")
        assert answer.status_code == 503 and answer.json()["code"] == "unavailable"
        claimed = client.post(f"{PACKETS}/{child['id']}/claim", json=claim("tester"))
        assert claimed.status_code == 503 and "was stored" in claimed.json()["detail"]
        assert talk(follow(client, root(client, **FULL))) == ["one", "two"], "the rest goes on"
        os.kill(rail.pids["hr-worker-query-1"], signal.SIGCONT)
        whole = wait_until(
            lambda: client.get(f"{PACKETS}/{child['id']}").status_code == 200
            and get(client, child),
            20,
            "the query worker answers again",
        )
        assert talk(whole) == ["one", "two"] and whole["status"] == "claimed"
    loop.run(admin.__aexit__())


def test_the_parent_can_be_pinned_by_the_client(client):
    parent = root(client)
    client.patch(f"{PACKETS}/{parent['id']}", json={})
    now = client.get(f"{PACKETS}/{parent['id']}").headers["etag"]
    assert chain(client, parent, headers={"If-Match": '"1"'}).status_code == 412
    child = chain(client, parent, headers={"If-Match": now})
    assert child.status_code == 201
    assert child.json()["lineage"]["ancestors"][0]["sequence"] == int(now.strip('"'))


# --- the budget ----------------------------------------------------------------------------------


def chain_of(client, count, size=1000, **parts):
    links = [root(client, "a0", "a1", context={"summary": "0", "conversation_state": said("x" * size)})]
    for i in range(1, count):
        context = {"summary": str(i), "conversation_state": said(f"{i}:" + "x" * size)}
        links.append(follow(client, links[-1], f"a{i}", f"a{i + 1}", context=context, **parts))
    return links


def test_what_has_no_room_is_listed_and_can_be_fetched(client):
    links = chain_of(client, 12)
    last = follow(client, links[-1], "a12", "a13", max_context_bytes=4000)
    lineage = last["lineage"]
    taken = len(last["context"]["conversation_state"])
    assert 0 < taken < 12
    assert talk(last) == [talk(packet)[-1] for packet in links[-taken:]], "the nearest, in order"
    omitted = lineage["omitted"]
    assert ids(omitted, "packet_id") == [packet["id"] for packet in reversed(links[:-taken])]
    for ref, packet in zip(omitted, reversed(links[:-taken]), strict=True):
        names = [ref["packet_id"], f"{ref['packet_id'].upper()}@{ref['sequence']}"]
        for name in names:
            answer = client.get(f"{PACKETS}/{last['id']}/context", params={"from": name})
            assert answer.status_code == 200, answer.text
            assert sha256(answer.content) == ref["sha256"]
            assert len(answer.content) == ref["bytes"]
            assert answer.headers["x-hr-seq"] == str(ref["sequence"])
        part = answer.json()
        assert part["packet_id"] == packet["id"] and part["event_id"] == ref["event_id"]
        assert [e["content"] for e in part["context"]["conversation_state"]] == talk(packet)[-1:]
        assert ref["entries"] == 1
    assert get(client, last) == last


def test_without_room_there_is_only_a_list(client):
    links = chain_of(client, 10)
    last = follow(client, links[-1], "a10", "a11", max_context_bytes=0)
    assert talk(last) == []
    assert len(last["lineage"]["omitted"]) == 10
    assert last["lineage"]["assembled"] is True


def test_the_tenants_budget_is_the_most_there_is(client, tenants):
    small = tenants.client("t-small")
    tenants.limit("t-small", max_context_bytes=1500)
    links = chain_of(small, 4)
    asked = follow(small, links[-1], "a4", "a5", max_context_bytes=1 << 20)
    assert asked["lineage"]["max_context_bytes"] == 1500
    assert len(asked["context"]["conversation_state"]) == 1
    assert len(asked["lineage"]["omitted"]) == 3


def test_what_was_not_carried_is_not_left_out(client):
    links = chain_of(client, 4)
    cut = follow(client, links[-1], "a4", "a5", carry=["custom"])
    last = follow(client, cut, "a5", "a6", carry=["conversation"], max_context_bytes=0)
    assert ids(last["lineage"]["omitted"], "packet_id") == [cut["id"]]


def test_context_is_given_of_ancestors_only(client, tenants):
    first, second, third = chain_of(client, 3)
    other = root(client, **FULL)
    get_context = f"{PACKETS}/{second['id']}/context"
    sequence = second["lineage"]["ancestors"][0]["sequence"]
    for name in (
        second["id"],
        third["id"],
        other["id"],
        NOWHERE,
        f"{first['id']}@{sequence + 1}",
        f"{first['id']}@0",
        f"{first['id']}@",
        f"{first['id']}@-1",
        f"{first['id']}@1e3",
        f"{first['id']}@99999999999999999999999",
        f"@{sequence}",
        "nonsense",
    ):
        answer = client.get(get_context, params={"from": name})
        assert answer.status_code == 404, (name, answer.text)
    assert client.get(get_context, params={"from": f"{first['id']}@{sequence}"}).status_code == 200
    assert client.get(get_context).status_code == 422
    assert client.get(get_context, params={"from": ""}).status_code == 422
    assert client.get(get_context, params={"from": "x" * 65}).status_code == 422
    assert client.get(f"{PACKETS}/{NOWHERE}/context", params={"from": NOWHERE}).status_code == 404
    stranger = tenants.client("t-stranger")
    assert stranger.get(get_context, params={"from": first["id"]}).status_code == 404


# --- once, and by whom ---------------------------------------------------------------------------


def test_a_repeat_is_answered_with_the_first_child(client, loop, admin):
    parent = root(client, **FULL)
    key = {"Idempotency-Key": "chain-" + parent["id"]}
    child = chain(client, parent, headers=key)
    assert child.status_code == 201
    assert chain(client, parent, headers=key).json() == child.json()
    client.delete(f"{PACKETS}/{parent['id']}")
    client.patch(f"{PACKETS}/{parent['id']}", json={"context": {"summary": "other"}})
    again = chain(client, parent, headers=key)
    assert again.status_code == 201 and again.json() == child.json()
    other = chain(client, parent, "coder", "somebody", headers=key)
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
    elsewhere = chain(client, root(client), headers=key)
    assert elsewhere.status_code == 422
    created = client.post(PACKETS, json=body(), headers=key)
    assert created.status_code == 422
    purge(loop, admin, parent)
    gone = chain(client, parent, headers=key)
    assert gone.status_code == 201, "what was done stays done"
    assert chain(client, parent).status_code == 404


def test_a_repeat_is_not_refused_for_what_holds_since(client, tenants):
    ours = tenants.client("t-later")
    parent = root(ours)
    key = {"Idempotency-Key": "once"}
    child = chain(ours, parent, headers=key)
    tenants.limit("t-later", max_hops=0)
    assert chain(ours, parent).status_code == 409
    assert chain(ours, parent, headers=key).json() == child.json()


def test_tenants_do_not_see_each_other(tenants):
    ours, theirs = tenants.client("t-chain-one"), tenants.client("t-chain-two")
    parent = root(ours, **FULL)
    child = follow(ours, parent)
    for packet in (parent, child):
        answer = chain(theirs, packet)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"Packet {packet['id']} not found"
    assert theirs.get(f"{PACKETS}/{child['id']}/chain").status_code == 404


@pytest.mark.parametrize(
    ("role", "made", "read"),
    [("reader", 403, 200), ("agent", 403, 200), ("writer", 201, 200), ("admin", 201, 200)],
)
def test_roles(tenants, role, made, read):
    parent = root(tenants.client("t-roles"))
    client = tenants.client("t-roles", role=role)
    assert chain(client, parent).status_code == made
    assert client.get(f"{PACKETS}/{parent['id']}/chain").status_code == read


def test_history_of_the_child(client):
    parent = root(client)
    child = follow(client, parent)
    events = client.get(f"{PACKETS}/{child['id']}/history").json()["events"]
    assert [(e["event_type"], e["actor"], e["details"]) for e in events] == [
        ("created", "agent:coder", {"parent_packet_id": parent["id"], "chain": True})
    ]


# --- on NATS -------------------------------------------------------------------------------------


def test_the_same_on_nats(client, agent, loop):
    parent = root(client, **FULL)
    sent = {"packet_id": parent["id"], **link(context={"summary": "n"}, max_context_bytes=1)}

    async def run():
        made = await agent.json("packet.chain", sent)
        request = json_format.ParseDict(
            {"packetId": parent["id"], "context": {"summary": "p"}}, chain_pb2.ChainPacket()
        )
        request.metadata.source_agent.id = request.metadata.source_agent.name = "coder"
        request.metadata.target_agent.id = request.metadata.target_agent.name = "ops"
        request.carry.items.append("decisions")
        binary = await agent.protobuf("packet.chain", request)
        child = made.json()
        name = {"packet_id": child["id"], "from": parent["id"]}
        context = await agent.json("packet.context", name)
        tree = await agent.json(
            "packet.tree", {"packet_id": child["id"]}, {"HR-Min-Seq": str(binary.seq)}
        )
        version = {"packet_id": parent["id"], "event_id": context.json()["event_id"]}
        return child, binary.message(), context, tree.json(), await agent.json("packet.version", version)

    child, binary, context, tree, version = loop.run(run())
    assert talk(child) == [] and ids(child["lineage"]["omitted"], "packet_id") == [parent["id"]]
    assert binary.lineage.hops == 1 and [d.id for d in binary.decisions] == ["d1", "d2"]
    assert len(binary.context.conversation_state) == 0
    assert sha256(context.data) == child["lineage"]["omitted"][0]["sha256"]
    assert ids(tree["nodes"]) == [parent["id"], child["id"], binary.id]
    assert version.json() == parent


def test_lineage_cannot_be_smuggled_in(client, agent, loop):
    forged = packet_pb2.Packet()
    forged.lineage.root_id = NOWHERE
    forged.lineage.hops = -1000
    smuggled = forged.SerializeToString()  # field 14 of whatever it is put behind
    parent = root(client)

    async def send(verb, message):
        for agent_of in (message.metadata.source_agent, message.metadata.target_agent):
            agent_of.id = agent_of.name = "coder"
        message.context.summary = "s"
        return (await agent.send(verb, message.SerializeToString() + smuggled)).message()

    async def run():
        return (
            await send("packet.create", command_pb2.CreatePacket()),
            await send("packet.chain", chain_pb2.ChainPacket(packet_id=parent["id"])),
        )

    made, chained = loop.run(run())
    assert not made.HasField("lineage")
    assert chained.lineage.root_id == parent["id"] and chained.lineage.hops == 1
    forged_json = {"lineage": {"hops": -1000, "root_id": NOWHERE, "path": [], "carry": []}}
    in_json = client.post(PACKETS, json={**body(), **forged_json}).json()
    assert "lineage" not in in_json
    patched = client.patch(f"{PACKETS}/{in_json['id']}", json=forged_json).json()
    assert "lineage" not in patched
    child = follow(client, parent, parent_packet_id=NOWHERE, **forged_json)
    assert child["lineage"]["hops"] == 1 and child["parent_packet_id"] == parent["id"]
    changed = client.patch(f"{PACKETS}/{child['id']}", json=forged_json).json()
    assert changed["lineage"] == child["lineage"]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"carry": ["conversation", "everything"]}, ["body", "carry", 1]),
        ({"carry": [""]}, ["body", "carry", 0]),
        ({"carry": "all"}, ["body", "carry"]),
        ({"carry": {}}, ["body", "carry"]),
        ({"carry": [1]}, ["body", "carry", 0]),
        ({"carry": [None]}, ["body", "carry", 0]),
        ({"max_context_bytes": -1}, ["body", "max_context_bytes"]),
        ({"max_context_bytes": 1 << 40}, ["body", "max_context_bytes"]),
        ({"max_context_bytes": "much"}, ["body", "max_context_bytes"]),
        ({"limits": []}, ["body", "limits"]),
        ({"limits": {"max_hops": 0}}, ["body", "limits", "max_hops"]),
        ({"limits": {"max_cycles": -1}}, ["body", "limits", "max_cycles"]),
        ({"limits": {"max_repeats": "x"}}, ["body", "limits", "max_repeats"]),
        ({"limits": {"window": 17}}, ["body", "limits", "window"]),
        ({"limits": {"window": 1}}, ["body", "limits", "window"]),
        ({"divert_to_human": "maybe"}, ["body", "divert_to_human"]),
        ({"metadata": None}, ["body", "metadata"]),
        ({"context": None}, ["body", "context"]),
        ({"context": {}}, ["body", "context", "summary"]),
        ({"decisions": None}, ["body", "decisions"]),
    ],
)
def test_bad_bodies(client, change, where):
    parent = root(client)
    answer = client.post(f"{PACKETS}/{parent['id']}/chain", json={**link(), **change})
    assert answer.status_code == 422, answer.text
    assert where in [item["loc"] for item in answer.json()["detail"]]


def test_bad_parents(client):
    assert chain(client, NOWHERE).status_code == 404
    assert chain(client, "no-uuid").status_code == 422
    assert client.post(f"{PACKETS}/{NOWHERE}/chain", content=b"{").status_code == 422
    assert client.post(f"{PACKETS}/{NOWHERE}/chain", content=b"").status_code == 422


def test_a_command_without_a_parent_is_refused(agent, loop):
    for verb in ("packet.chain", "packet.context", "packet.tree", "packet.version"):
        sent = {**link(), "from": NOWHERE, "event_id": NOWHERE}
        answer = loop.run(agent.json(verb, sent))
        assert answer.status == 422, verb
        assert answer.json()["detail"][0]["loc"] == ["body", "packet_id"]
