"""Reassigning a packet: it goes to another agent, no matter who holds it."""

import uuid

import pytest
from agent import command_pb2
from config import new_key, put_key
from packets import PACKETS, body, claim
from rail import wait_until

NEW = {"agent_id": "second", "agent_name": "Second", "reason": "the first is on holiday"}


@pytest.fixture
def http(loop, web):
    class Http:
        def call(self, method, target, content=None, headers=None):
            return loop.run(web.request(method, target, content, headers))

        def create(self):
            answer = self.call("POST", PACKETS, body())
            assert answer.status == 201
            return answer.json()["id"]

        def history(self, packet):
            answer = self.call("GET", f"{PACKETS}/{packet}/history")
            return answer.json()

    return Http()


def rows(history):
    return history if isinstance(history, list) else next(
        value for value in history.values() if isinstance(value, list))


@pytest.mark.parametrize("state", ["created", "claimed", "in_progress", "leased"])
def test_it_goes_to_the_new_agent_and_the_old_claim_is_stale(http, state):
    packet = http.create()
    target = f"{PACKETS}/{packet}"
    generation = None
    if state != "created":
        content = claim("first")
        if state == "leased":
            content["lease_seconds"] = 60
        answer = http.call("POST", target + "/claim", content)
        assert answer.status == 200
        generation = answer.headers["x-hr-seq"]
    if state == "in_progress":
        assert http.call("PATCH", target, {"status": "in_progress"}).status == 200
    answer = http.call("POST", target + "/reassign", NEW)
    assert answer.status == 200, answer
    made = answer.json()
    assert made["status"] == "created" and made.get("claim") is None
    assert made["metadata"]["target_agent"]["id"] == "second"
    if generation is not None:
        stale = http.call("PATCH", target, {"status": "completed"}, {"X-HR-Claim": generation})
        assert (stale.status, stale.json()["code"]) == (409, "stale_claim")
    event = rows(http.history(packet))[-1]
    assert "reassigned" in str(event) and NEW["reason"] in str(event)
    assert http.call("POST", target + "/claim", claim("second")).status == 200


def test_what_is_over_or_with_a_human_is_not_reassigned(http):
    packet = http.create()
    target = f"{PACKETS}/{packet}"
    http.call("POST", target + "/claim", claim("first"))
    assert http.call("PATCH", target, {"status": "completed"}).status == 200
    answer = http.call("POST", target + "/reassign", NEW)
    assert (answer.status, answer.json()["code"]) == (409, "already_finished")
    held = body(hitl={"required": True, "reason": "r", "options": ["a"]})
    packet = http.call("POST", PACKETS, held).json()["id"]
    answer = http.call("POST", f"{PACKETS}/{packet}/reassign", NEW)
    assert (answer.status, answer.json()["code"]) == (409, "awaiting_human")
    answer = http.call("POST", f"{PACKETS}/{uuid.uuid4()}/reassign", NEW)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert http.call("POST", f"{PACKETS}/{http.create()}/reassign", {}).status == 422


def test_it_takes_a_writer(http, loop, admin, rail):
    packet = http.create()
    for role, status in (("reader", 403), ("agent", 403), ("writer", 200)):
        key = new_key()
        loop.run(put_key(admin, key, f"r-{role}", role=role))
        own = {"X-API-Key": key}
        wait_until(lambda: http.call("GET", f"{PACKETS}/{packet}", None, own).status == 200, 5, "the key is known")
        answer = http.call("POST", f"{PACKETS}/{packet}/reassign", NEW, own)
        assert answer.status == status, role


def test_it_is_a_command_on_nats_as_well(http, loop, agent):
    packet = http.create()
    reply = loop.run(agent.json("packet.reassign", {"packet_id": packet, **NEW}))
    assert reply.json()["metadata"]["target_agent"]["id"] == "second"
    request = command_pb2.ReassignPacket(packet_id=packet, agent_id="third")
    reply = loop.run(agent.protobuf("packet.reassign", request))
    assert reply.message().metadata.target_agent.name == "third"


def test_a_repeat_under_a_key_is_done_once(http):
    packet = http.create()
    target = f"{PACKETS}/{packet}/reassign"
    key = {"Idempotency-Key": "once"}
    first = http.call("POST", target, NEW, key)
    again = http.call("POST", target, NEW, key)
    assert first.headers["x-hr-seq"] == again.headers["x-hr-seq"]
    assert http.call("POST", target, {**NEW, "agent_id": "x"}, key).status == 422
