"""Agents that hand the same work to each other without end are stopped, or brought before a human."""

import time
import uuid

import pytest
from chains import chain, follow, get, link, root
from packets import PACKETS
from tenants import Tenants


@pytest.fixture
def tenants(rail, loop, admin):
    made = Tenants(rail, loop, admin)
    yield made
    made.close()


@pytest.fixture
def client(tenants):
    return tenants.client("t-loops")


@pytest.fixture
def person(tenants):
    """Somebody else of the same tenant."""
    return tenants.client("t-loops")


def walk(client, agents, **parts):
    """A chain along agents, one letter each; the answer to its last link."""
    answer = None
    packet = root(client, agents[0], agents[1])
    for source, target in zip(agents[1:], agents[2:], strict=False):
        answer = chain(client, packet, source, target, **parts)
        if answer.status_code != 201:
            return answer
        packet = answer.json()
    return answer


@pytest.mark.parametrize(
    "agents",
    ["ABA", "ABABA", "ABABAB", "ABCADEAF", "ABACADEFA", "XABACADEFA", "AAA", "ABCABCABCA"],
)
def test_what_is_no_loop(client, agents):
    answer = walk(client, agents)
    assert answer.status_code == 201
    assert "".join(answer.json()["lineage"]["path"]) == agents


@pytest.mark.parametrize(
    ("agents", "reason"),
    [
        ("ABABABA", "max_cycles"),
        ("XABABABA", "max_cycles"),
        ("ABACADA", "max_repeats"),
        ("XABACADEA", "max_repeats"),
        ("AAAA", "max_repeats"),
    ],
)
def test_what_is_one(client, agents, reason):
    answer = walk(client, agents)
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "handoff_loop"
    detail = problem["detail"]
    assert detail["reason"] == reason
    assert "".join(detail["path"]) == agents[: len(detail["path"])]
    assert detail["hops"] == len(detail["path"]) - 2
    assert detail["limits"] == {"max_hops": 64, "max_cycles": 2, "max_repeats": 3, "window": 8}
    assert detail["message"].startswith("Handoff loop: ")


def test_the_65th_hop_is_refused(client):
    packet = root(client, "a0", "a1")
    for i in range(1, 65):
        packet = follow(client, packet, f"a{i}", f"a{i + 1}")
    assert packet["lineage"]["hops"] == 64 and len(packet["lineage"]["path"]) == 16
    answer = chain(client, packet, "a65", "a66")
    assert answer.status_code == 409
    assert answer.json()["detail"]["reason"] == "max_hops"
    assert answer.json()["detail"]["hops"] == 65


def test_a_ring_of_three_is_stopped_by_a_longer_window(client):
    answer = walk(client, "ABCABCABCA", limits={"window": 16})
    assert answer.status_code == 409
    assert answer.json()["detail"]["reason"] == "max_repeats"


def test_limits_of_a_tenant(tenants):
    client = tenants.client("t-limits")
    tenants.limit("t-limits", max_hops=2, max_cycles=1, repeat_window=4, max_repeats=2)
    assert walk(client, "ABABA").json()["detail"]["reason"] == "max_hops"
    tenants.limit("t-limits", max_hops=300, max_cycles=1)
    assert walk(client, "ABABA").json()["detail"]["reason"] == "max_cycles"
    tenants.limit("t-limits", max_hops=300, max_cycles=7, max_repeats=8, repeat_window=16)
    assert walk(client, "ABABABABAB").status_code == 201


def test_a_chain_can_have_stricter_limits_and_its_descendants_keep_them(client):
    first = root(client, "A", "B")
    child = follow(client, first, "B", "C", limits={"max_hops": 2, "max_repeats": 100})
    assert child["lineage"]["limits"] == {"max_hops": 2, "max_repeats": 100}
    second = follow(client, child, "C", "D", limits={"max_hops": 50})
    assert second["lineage"]["limits"]["max_hops"] == 2
    answer = chain(client, second, "D", "E", limits={"max_hops": 50})
    assert answer.status_code == 409
    limits = answer.json()["detail"]["limits"]
    assert limits == {"max_hops": 2, "max_cycles": 2, "max_repeats": 3, "window": 8}


def divert(client, **parts):
    """A packet that waits for a human after its third cycle, and its parent."""
    packet = root(client, "A", "B")
    for source, target in zip("BABA", "ABAB", strict=True):
        packet = follow(client, packet, source, target)
    return follow(client, packet, "B", "A", divert_to_human=True, **parts), packet


def respond(client, packet, response, **parts):
    content = {"response": response, "responded_by": "eve", **parts}
    return client.post(f"{PACKETS}/{packet['id']}/respond", json=content)


def check_held(client, packet):
    for target, parts in (("B", {}), ("new", {}), ("B", {"divert_to_human": True})):
        answer = chain(client, packet, "A", target, **parts)
        assert answer.status_code == 409, answer.text
        assert answer.json()["code"] == "handoff_loop"
        detail = answer.json()["detail"]
        assert detail["reason"] == "diverted" and detail["path"] == [*"ABABABA", target]


def test_a_loop_can_be_brought_before_a_human(client):
    diverted, first = divert(client)
    assert diverted["status"] == "awaiting_human"
    hitl = diverted["hitl"]
    assert hitl["required"] is True and hitl["options"] == ["continue", "stop"]
    assert hitl["approve_options"] == ["continue"] and hitl["rejections"] == ["stop"]
    assert hitl["reason"].startswith("Handoff loop: the same two agents")
    assert diverted["lineage"]["path"] == list("ABABABA")
    claimed = client.post(
        f"{PACKETS}/{diverted['id']}/claim", json={"agent_id": "A", "agent_name": "A"}
    )
    assert claimed.status_code == 409
    events = client.get(f"{PACKETS}/{diverted['id']}/history").json()["events"]
    assert events[0]["details"]["diverted"] == "max_cycles"
    assert chain(client, first, "B", "A").status_code == 409, "without it: refused"
    legitimate = follow(client, root(client, "A", "B"), "B", "A", divert_to_human=True)
    assert legitimate["status"] == "created" and legitimate["hitl"] is None


def test_nothing_but_a_humans_go_ahead_leads_on_from_a_diverted_packet(client, person):
    packet, _ = divert(client)
    check_held(client, packet)
    answer = respond(client, packet, "continue")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_approver"), "its own loop"
    check_held(client, packet)
    assert respond(person, packet, "stop").status_code == 200
    check_held(client, packet)


def test_a_time_out_is_no_go_ahead(client):
    hitl = {"reason": "r", "timeout_seconds": 1, "on_timeout": "release",
            "approve_options": ["go"]}
    packet, _ = divert(client, hitl=hitl)
    deadline = time.monotonic() + 8
    while get(client, packet)["status"] != "created":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    check_held(client, packet)


def test_an_own_checkpoint_that_may_decide_about_a_loop_names_what_approves(client):
    hitl = {"reason": "r", "options": ["Ja", "Nein"]}
    answer = chain(client, root(client, "A", "B"), "B", "A", divert_to_human=True, hitl=hitl)
    assert answer.status_code == 422, answer.text
    assert "approve_options" in answer.json()["detail"][0]["msg"]


def test_after_a_human_has_answered_the_path_begins_anew(client, person):
    packet, _ = divert(client)
    assert packet["lineage"]["diverted_by_key"]
    other = respond(person, packet, "perhaps")
    assert other.status_code == 422, "it is one of the options"
    answered = respond(person, packet, "continue")
    assert answered.status_code == 200, answered.text
    assert answered.json()["lineage"]["path"] == ["A"]
    assert "diverted_by_key" not in answered.json()["lineage"]
    packet = answered.json()
    for source, target in zip("ABAB", "BABA", strict=True):
        packet = follow(client, packet, source, target)
    assert packet["lineage"]["path"] == list("ABABA")
    assert packet["lineage"]["hops"] == 9
    packet = follow(client, packet, "A", "B")
    assert chain(client, packet, "B", "A").status_code == 409


def test_a_refusal_leaves_nothing_behind(client):
    packet = root(client, "A", "B")
    for source, target in zip("BABA", "ABAB", strict=True):
        packet = follow(client, packet, source, target)
    before = client.get(f"{PACKETS}/{packet['id']}/chain").json()
    key = {"Idempotency-Key": "loop-" + packet["id"]}
    assert chain(client, packet, "B", "A", headers=key).status_code == 409
    assert client.get(f"{PACKETS}/{packet['id']}/chain").json() == before
    assert get(client, packet) == packet
    other = chain(client, packet, "B", "C", headers=key)
    assert other.status_code == 201, "a refused command uses no key up"


def test_the_same_on_nats(agent, loop):
    async def run():
        made = (await agent.json("packet.create", link("A", "B"))).json()
        for source, target in zip("BABAB", "ABABA", strict=True):
            sent = {"packet_id": made["id"], **link(source, target)}
            answer = await agent.json("packet.chain", sent)
            if answer.status != 200:
                return answer
            made = answer.json()
        return answer

    answer = loop.run(run())
    assert answer.status == 409
    assert answer.headers["Nats-Service-Error"] == "handoff_loop"
    assert answer.json()["detail"]["path"] == list("ABABABA")


def made_by_hand(client, parent, source, target):
    """The answer to a create that names its parent."""
    return client.post(PACKETS, json=link(source, target, parent_packet_id=parent["id"]))


def test_a_create_that_names_its_parent_is_no_way_round_the_limits(client):
    packet = root(client, "A", "B")
    for source, target in zip("BABA", "ABAB", strict=True):
        answer = made_by_hand(client, packet, source, target)
        assert answer.status_code == 201, answer.text
        packet = answer.json()
    assert packet["lineage"]["path"] == list("ABABAB") and packet["lineage"]["hops"] == 4
    answer = made_by_hand(client, packet, "B", "A")
    assert (answer.status_code, answer.json()["code"]) == (409, "handoff_loop"), answer.text
    assert answer.json()["detail"]["reason"] == "max_cycles"
    assert chain(client, packet, "B", "A").status_code == 409
    body = {"packets": [link("B", "A", parent_packet_id=packet["id"]), link("x", "y")]}
    answer = client.post(f"{PACKETS}/batch", json=body).json()
    assert len(answer["created"]) == 1 and "Handoff loop" in answer["errors"][0]["error"]


def last_seq(client, packet):
    return client.get(f"{PACKETS}/{packet['id']}").headers["X-HR-Seq"]


def test_a_created_child_takes_nothing_over(client):
    parent = root(client, "a", "b", context={"summary": "s", "custom": {"secret": 1}})
    child = made_by_hand(client, parent, "b", "c").json()
    assert child["context"]["custom"] == {} and child["lineage"]["carry"] == []
    history = f"{PACKETS}/{parent['id']}/history"
    found = client.get(history, headers={"X-HR-Min-Seq": str(last_seq(client, child))}).json()
    assert [e["event_type"] for e in found["events"]] == ["created"], "it is no follow-up"
    after = follow(client, child, "c", "d")
    assert after["context"]["custom"] == {} and after["lineage"]["path"] == list("abcd")


def test_a_parent_of_another_tenant_is_as_good_as_none(client, tenants):
    hidden = root(tenants.client("t-loop-other"), "A", "B")
    answers = [made_by_hand(client, {"id": i}, "B", "A") for i in (hidden["id"], str(uuid.uuid4()))]
    for answer in answers:
        assert answer.status_code == 201 and "lineage" not in answer.json(), answer.text
